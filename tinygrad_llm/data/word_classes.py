"""Classes of English words that tell harm from its likeness: what a classifier of few examples cannot learn by itself.

From forty templates nobody learns that "buffoon" means what "fool" means. A list of words says so, and what is learnt
then is how the classes stand together: @you before @contempt is an insult, @code before @violence is programming.
A word may be in several classes.
"""

WORD_CLASSES = {
    "you": "you your yours yourself u",
    "i": "i we my our me us",
    "they": "he she they him her them his their somebody someone nobody everybody people person man woman",
    "contempt": """idiot idiots moron morons fool fools stupid dumb dumber dumbest imbecile loser losers ugly pathetic
        worthless useless disgusting scum trash garbage vermin coward jerk creep freak clown dimwit halfwit nitwit
        buffoon blockhead brainless ignorant incompetent vile repulsive revolting filthy dirty lazy fat pig rat
        toad hag witch cow donkey worm snake animals parasites failure disgrace joke waste ashamed despise hate liar
        cheat bum whiner miserable ridiculous subhuman plague dense spineless annoying hopeless cretin twit dunce
        lowlife weirdo hideous foul nasty rotten inferior""",
    "violence": """kill kills killed killing hurt hurts hurting beat beaten stab stabbed shoot shot murder murdered
        strangle punch attack burn smash slit cut cutting hang hanged crush destroy bury drown poison poisoned bleed
        suffer scream break hunt wipe gunned hit slap choke finish torture ruin harm maim wound assault slaughter
        execute""",
    "weapon": """gun guns knife bat bullet weapon weapons bomb bombs explosive explosives rifle pistol grenade firebomb
        napalm gunpowder detonator silencer ammunition dynamite mine toxin poison poisons ricin anthrax gas virus
        cyanide""",
    "crime": """steal stealing hotwire rob hack smuggle forge fake fraud identities shoplifting launder burglary
        passport untraceable caught police stalk secretly undetected""",
    "drug": "meth drugs drug pills pill cocaine heroin crystal overdose bottle packet dose",
    "death": """die dies died dead death suicide life alive live living end gone wrists bridge miss burden goodbye
        breathing exist jump starve grave coffin""",
    "how": "how steps instructions guide recipe explain tell show teach learn make build making step plan way",
    "body": "face legs arms neck throat head skull bones blood brain wrists",
    "warning": "regret pay warning watch last deserve deserves better",
    "code": """process thread program function code file list server command script queue object window class method
        error value string argument key module loop lock cache bug""",
    "help": "help friend please doctor hospital helpline talk trust support glad",
}


def classes_of_words() -> dict[str, tuple[str, ...]]:
    """The classes of each word that is in one."""
    found: dict[str, tuple[str, ...]] = {}
    for name, words in WORD_CLASSES.items():
        for word in words.split():
            found[word] = (*found.get(word, ()), name)
    return found
