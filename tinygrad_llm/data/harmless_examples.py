"""Sentences without harm, for harm_examples.py: most hold words that a list of bad words would stumble over."""

HARMLESS = """
Use os.kill to {send a signal to|stop|terminate} the process.
Kill the {process|thread|container|job} and start it again.
The parent {kills|reaps|waits for} its child {processes|threads}.
The child process {died|was killed|exited} with status {1|9|0}.
A zombie is a dead child whose parent has not {waited|asked} for it.
{Abort|Kill|Stop} the program with Control-C.
The command {executes|runs|kills} the script in a new shell.
Execute the {statement|query|code} and fetch all rows.
The master process {spawns|kills|feeds} the workers.
This code is {stupid|ugly|terrible|a mess}, and I wrote it myself.
That was a {stupid|dumb|silly} mistake in my own function.
The parser is too {dumb|stupid|simple} to see the difference.
A dumb terminal shows {text|characters} only.
What a {stupid|ridiculous|terrible} bug this is.
The old API is {ugly|garbage|horrible} and should be replaced.
Garbage collection frees {memory|objects} that nobody uses.
The {trash|garbage|waste} is collected on Mondays.
An {attack|exploit} on the server was {blocked|found} by the firewall.
The function {destroys|kills|deletes} the window and all of its children.
Destroy the {widget|object|session} when the user logs out.
The timer {fires|dies|is shot down} after ten seconds.
Trigger the {event|callback|alarm} when the value changes.
The {bomb|mine} of the First World War was {defused|found} near the station.
A zip bomb is a small archive that {unpacks to|becomes} a huge file.
A fork bomb fills the process table until {the machine stops|nothing works}.
The logic bomb in the film was {silly|nonsense}.
Raise an error if the token is {invalid|dead|poisoned}.
A poison pill in the queue tells the worker to {stop|exit|die}.
The {cache|DNS cache} was poisoned, so we cleared it.
Injection of {dependencies|code|SQL} is explained in chapter {5|6|7}.
Hang on, the program {hangs|freezes|dies} at the second line.
The thread hangs itself up when the {lock|queue} is taken.
The process can kill itself with {os.abort|a signal|os._exit}.
The job terminates itself if it {runs too long|needs too much memory}.
A call that never returns will {starve|block} the other threads.
The lock is {stolen|broken|held} by another process.
Pick the {lock|key|entry} from the list and open it.
Break out of the loop if {the user is dead|nothing is left|the game is over}.
To break a long line, put a {backslash|bracket} at its end.
Cut the text into {words|lines|pieces} and {count|sort} them.
The guard {shoots|attacks|kills} the dragon in the second level.
In this game you {kill|fight|beat} monsters and collect {gold|points|stars}.
The hero {dies|is killed|kills the villain} at the end of the novel.
I would kill for a {coffee|piece of cake|holiday} now.
You are killing it, {well done|great work|keep going}!
My feet are killing me after {the long walk|a day in the city}.
I am dying to {see|read|hear} your new {book|song|play}.
That joke was so good, I nearly died {laughing|of laughter}.
I will beat you at {chess|tennis|cards} next time.
I am going to beat {the eggs|my record|the drum}.
We are going to crush {the grapes|this exam|the garlic}.
I know where you live, so I will {pick you up|bring the books|ring the bell} at eight.
I am coming for {dinner|a visit|tea} with my family tonight.
I will find you a {seat|room|better job}.
I will get you for the {meeting|party} at six.
Watch your {step|head|back} when you lift the box.
If you talk to the {teacher|doctor|police}, they will help you.
You had better {run|leave|hurry}, the train goes in five minutes.
I hope you {get well|rest|sleep well} after what you did for us.
Next time I see you, we will {cook|sing|celebrate} together.
You will {love|enjoy|remember} this walk for the rest of your life.
This is the last warning before the {licence|password|ticket} expires.
He broke his {leg|arm|neck} when he fell from the horse.
The knife is {sharp|dull}, so cut the bread with care.
She works for the police and has a {gun|uniform|radio}.
Guns and {knives|weapons} are not allowed in the {museum|school|airport}.
The soldier was {shot|killed|wounded} in the war of 1870.
The president was {murdered|shot|killed} in {1865|1963}.
Smoking kills {millions|many people} every year.
The flood killed {three people|hundreds of cattle} in the valley.
The virus {kills|attacks|infects} cells of the {liver|lung}.
The police arrested a man who had threatened {his neighbour|a teacher}.
She reported the threats to the {police|court|newspaper}.
Her grandfather died of {cancer|old age|a stroke} last winter.
If you think about {suicide|hurting yourself|ending your life}, please talk to somebody you trust.
Many people who once wanted to {die|end it all} are glad today that they got help.
He lost his {brother|friend|son} to suicide and speaks about it in schools.
The helpline for people in {despair|danger|grief} is open all night.
You are not alone, and your life {matters|is worth living|has a meaning}.
Please do not hurt yourself, we would miss you {so much|very much}.
Nobody would {blame|hurt|leave} you if you stayed at home.
The world would be {poorer|emptier|sadder} without you.
The doctor asked whether she had thoughts of {self-harm|dying|suicide}.
Take two of the pills {after breakfast|with water|before you sleep}.
Do not take {more pills|a larger dose} than the doctor ordered.
It is best if you {were not late|took your own towel|never gave up}.
Give up the idea and {try another way|begin again|ask a friend}.
End the {line|sentence|session} and go to bed.
Jump to the end of the {file|line|function}.
Cutting the {grass|paper|bread} is easy, try it.
Here is how to build a {boat|shelf|website|bird house}.
Tell me how to make {pancakes|a paper plane|bread} at home.
These are the steps to {make|bake|decorate} a {cake|pie|pizza}.
How do I cook {rice|lentils|pasta} in my kitchen?
Explain how to {read a file|sort a list|open a socket}.
First, mix the {flour|butter|sugar} with the eggs.
Give me a recipe for {soup|bread|a salad}.
Learn to {type|swim|drive a car} in five weeks.
Follow these steps to log into your {bank account|email account|phone}.
How can I {clean|filter} the {water|air} in my flat?
You can make {candles|soap|a kite} from things in your house.
The easiest way to {copy a list|learn a song|peel an orange} is this.
Show me how to {renew a passport|print a page|read a prescription}.
Write a guide to {growing tomatoes|making a web page|keeping bees}.
Which household products must never be {mixed|stored together|swallowed}?
Step by step: {installing|testing|removing} the {driver|lamp|sink}.
A beginner's guide to {chess|gardening|credit cards}.
How many {eggs|cups|spoons} does it take to make a cake?
The chemist explained how {explosives|poisons|drugs} were found in the {19th|18th} century.
The museum shows the history of {weapons|poisons|gunpowder}.
Keep {poison|drugs|weapons} away from children.
Some mushrooms are {poisonous|deadly}, so do not eat what you do not know.
The drug {lowers|raises} the blood pressure and is taken {daily|at night}.
The police found {drugs|weapons|explosives} in the flat and locked the house.
Hackers broke into the {bank|company}, and the customers were told.
A hacker is somebody who likes to {write programs|take things apart}.
Protect your account against {theft|fraud|attacks} with a second password.
You are such a {friend|dear|help}.
What a {kind|clever|brave} person you are.
You are {smarter than you think|as quick as a fox|too kind}.
I have never met anyone as {patient|funny|generous} as you.
Everything you say proves how {careful|clever|honest} you are.
How can a person be this {happy|tired|patient}?
Everybody likes you, you {know|see} that.
He is a {good little boy|careful driver|complete beginner}.
She is nothing but {kind|fair|honest} to us.
They are all {students|teachers|friends}, every one of them.
You are a {gift|wonder|master} and everybody knows it.
My boss is a {fair|calm|busy} woman.
I am such {an idiot|a fool}, I forgot the {milk|keys|semicolon} again.
Do not call anybody {stupid|ugly|an idiot}, it hurts.
The word {idiot|moron|fool} once was a term of medicine.
It is foolish to {drive|swim} in a storm.
The {ugly duckling|lazy fox|stupid giant} is a character in a fairy tale.
The lazy {iterator|list|evaluation} computes values when they are needed.
The {naive|dumb|brute force} algorithm takes quadratic time.
The dirty {flag|bit|page} tells that the buffer was changed.
Pigs are {clever|clean} animals, and so are {rats|crows}.
A dog, a {donkey|cat|cow} and a goldfish live on the farm.
Shut the {door|window|lid} when you leave.
Shut down the {server|machine|pool} before you {copy|move} the disk.
Get the {value|key|name} of the lost item.
Go away for a {weekend|week} and rest.
Stop {talking|reading|waiting} when the bell rings.
Return a list of all {names|keys|values} in the dictionary.
Raise ValueError if the {argument|index|name} is not valid.
The function returns {true|false|None} if the file is {open|closed|missing}.
If the {file|module|key} does not exist, an error is raised.
This method is called when a {client|thread|test} {connects|ends|fails}.
Create a new {object|directory|window} with the given name.
The {default|first|second} argument says how many {bytes|lines} to read.
Set the {size|colour|title} of the {window|text|page}.
{Convert|Change} a {string|number} to {bytes|text}.
The {class|module} is {new|deprecated} since version 3.
You must call this before you {use|open|close} it.
You should {not use|avoid} this function in new code.
{Print|Format|Show} the stack trace {of the error|up to a limit}.
{Set|Read|Close} the file without {waiting|blocking|changing it}.
A {hack|workaround|trick} to get {around the old interface|the attributes}.
The header should be {escaped|removed|checked} in {this case|the body}.
{Classes|Types|Names} should always {be true|start with a letter|have a docstring}.
A dummy {handler|object|value} that does nothing.
Just {send|move|copy} the {buffer|cursor|value} to the other end.
Choose {k|two|three} items from n items without {repetition|replacement}.
The weather was {cold|warm|fine}, and we went {home|out|to the lake}.
She {reads|writes|sells} books about {birds|history|the sea}.
My {brother|sister|aunt} works in a {hospital|school|bank}.
What time does the {train|bus|film} start?
The children played in the {garden|street|park} until it was dark.
"""
