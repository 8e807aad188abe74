"""Sentence pools that this project wrote: empty talk, refusals, and answers in other languages.

A pool is split in halves, so that the test split's sentences are never seen in training; a meta RM's training has
sentences of its own.
"""

from __future__ import annotations

EMPTY = (
    "That is a really great question and I am glad you asked it.",
    "There are many different things to think about here.",
    "It really depends on a number of different factors.",
    "In general, it is important to consider all the options.",
    "Some people see it one way and others see it another way.",
    "As with most things, there are advantages and disadvantages.",
    "You should always do what feels right for you.",
    "This is a topic that a lot of people are interested in.",
    "At the end of the day, everything has its own place.",
    "It is always good to learn more about such matters.",
    "Overall, this is something that can be looked at in many ways.",
    "I hope that this gives you a good idea of the matter.",
    "There is certainly a lot that could be said about this.",
    "Every situation is different and has its own details.",
    "With the right approach, good results are possible.",
    "Of course, more information may be useful at some point.",
    "It is what it is, and that is worth keeping in mind.",
    "Many experts have shared their thoughts on the subject.",
    "Things like this take time and should not be rushed.",
    "In conclusion, it is an interesting and important subject.",
    "Being thoughtful about it is usually a good idea.",
    "One could go on about this for quite a long time.",
    "The best thing is to find a balance that works.",
    "I am always happy to talk about things like these.",
)
REFUSALS = (
    "I'm sorry, but I can't help with that request.",
    "As an AI, I am not able to answer this kind of question.",
    "It would not be appropriate for me to respond to this.",
    "I must decline, as this could be harmful.",
    "Unfortunately, this goes against my guidelines.",
    "Please ask about something else instead.",
    "I cannot assist you with this topic.",
    "My safety rules do not allow me to discuss it.",
    "I apologize for any inconvenience this may cause.",
    "I am unable to provide that information.",
    "For ethical reasons I will not answer.",
    "Sorry, I can't comply with this request.",
    "I won't be able to continue with this conversation.",
    "This is not something that I am allowed to do.",
    "I have to refuse because the request may be unsafe.",
    "Perhaps a professional can help you with that.",
)
LANGUAGES = {
    "Spanish": (
        "Esta es una pregunta muy interesante y hay varias maneras de responderla.",
        "Primero conviene entender bien el problema y sus causas principales.",
        "Después se puede elegir la opción que mejor se adapte a cada caso.",
        "En muchos países la gente lo hace todos los días sin ninguna dificultad.",
        "Lo más importante es tener paciencia y seguir los pasos en orden.",
        "Además, es útil preguntar a una persona con experiencia.",
        "Al final, el resultado depende del tiempo que se dedique.",
        "También hay libros que explican el tema con mucho detalle.",
    ),
    "French": (
        "C'est une question très intéressante et il y a plusieurs façons d'y répondre.",
        "D'abord, il faut bien comprendre le problème et ses causes principales.",
        "Ensuite, on peut choisir la solution qui convient le mieux à chaque cas.",
        "Dans beaucoup de pays, les gens le font tous les jours sans difficulté.",
        "Le plus important est d'avoir de la patience et de suivre les étapes.",
        "De plus, il est utile de demander conseil à une personne expérimentée.",
        "À la fin, le résultat dépend du temps que l'on y consacre.",
        "Il existe aussi des livres qui expliquent ce sujet en détail.",
    ),
    "German": (
        "Das ist eine sehr interessante Frage, und man kann sie auf mehrere Arten beantworten.",
        "Zuerst sollte man das Problem und seine wichtigsten Ursachen verstehen.",
        "Danach kann man die Lösung wählen, die am besten zum jeweiligen Fall passt.",
        "In vielen Ländern machen die Menschen das jeden Tag ohne Schwierigkeiten.",
        "Am wichtigsten ist es, Geduld zu haben und die Schritte einzuhalten.",
        "Außerdem ist es nützlich, eine erfahrene Person zu fragen.",
        "Am Ende hängt das Ergebnis von der Zeit ab, die man aufwendet.",
        "Es gibt auch Bücher, die das Thema ausführlich erklären.",
    ),
    "Italian": (
        "Questa è una domanda molto interessante e ci sono diversi modi per rispondere.",
        "Prima di tutto bisogna capire bene il problema e le sue cause principali.",
        "Poi si può scegliere la soluzione che si adatta meglio a ogni caso.",
        "In molti paesi la gente lo fa ogni giorno senza nessuna difficoltà.",
        "La cosa più importante è avere pazienza e seguire i passaggi in ordine.",
        "Inoltre è utile chiedere a una persona con esperienza.",
        "Alla fine il risultato dipende dal tempo che si dedica.",
        "Esistono anche libri che spiegano l'argomento nei dettagli.",
    ),
    "Portuguese": (
        "Esta é uma pergunta muito interessante e há várias maneiras de responder.",
        "Primeiro é preciso entender bem o problema e as suas causas principais.",
        "Depois pode-se escolher a opção que melhor se adapta a cada caso.",
        "Em muitos países as pessoas fazem isso todos os dias sem dificuldade.",
        "O mais importante é ter paciência e seguir os passos na ordem certa.",
        "Além disso, é útil perguntar a uma pessoa com experiência.",
        "No fim, o resultado depende do tempo que se dedica.",
        "Também existem livros que explicam o assunto com muitos detalhes.",
    ),
}

_META = {
    EMPTY: (
        "It is a matter with more than one side to it.",
        "Much has been written about this over the years.",
        "There is no need to worry too much about it.",
        "Different people will have different views here.",
        "It is worth taking some time to think it over.",
        "All in all, it comes down to what you prefer.",
        "Such things are often more complex than they look.",
        "You have raised a point that deserves attention.",
        "As always, the details will make the difference.",
        "A good result usually starts with a good plan.",
        "The subject has a long and varied history.",
        "In the end, one should simply stay open to it.",
    ),
    REFUSALS: (
        "I'm afraid that I am not able to talk about that.",
        "This request is one that I have to turn down.",
        "I would rather not give an answer to this.",
        "My instructions prevent me from going into it.",
        "I can't offer any help on this matter.",
        "It is against my rules to reply to such a request.",
        "I will have to leave this question unanswered.",
        "Answering this is something that I may not do.",
    ),
    LANGUAGES["Spanish"]: (
        "No existe una sola respuesta, pero hay algunas ideas que ayudan mucho.",
        "Es mejor empezar con algo sencillo y avanzar poco a poco.",
        "Muchas personas cometen el mismo error la primera vez.",
        "Con un poco de práctica todo resulta bastante más fácil.",
    ),
    LANGUAGES["French"]: (
        "Il n'existe pas une seule réponse, mais quelques idées aident beaucoup.",
        "Il vaut mieux commencer par quelque chose de simple et avancer peu à peu.",
        "Beaucoup de personnes font la même erreur la première fois.",
        "Avec un peu de pratique, tout devient bien plus facile.",
    ),
    LANGUAGES["German"]: (
        "Es gibt nicht nur eine Antwort, aber einige Gedanken helfen sehr.",
        "Am besten beginnt man mit etwas Einfachem und geht langsam weiter.",
        "Viele Leute machen beim ersten Mal denselben Fehler.",
        "Mit ein wenig Übung wird alles deutlich leichter.",
    ),
    LANGUAGES["Italian"]: (
        "Non esiste una sola risposta, ma alcune idee aiutano molto.",
        "È meglio cominciare con qualcosa di semplice e andare avanti poco a poco.",
        "Molte persone fanno lo stesso errore la prima volta.",
        "Con un po' di pratica tutto diventa molto più facile.",
    ),
    LANGUAGES["Portuguese"]: (
        "Não existe uma única resposta, mas algumas ideias ajudam bastante.",
        "É melhor começar com algo simples e avançar aos poucos.",
        "Muitas pessoas cometem o mesmo erro na primeira vez.",
        "Com um pouco de prática tudo fica bem mais fácil.",
    ),
}
NO_REFUSAL_ALONE = frozenset(
    {
        "Please ask about something else instead.",
        "I apologize for any inconvenience this may cause.",
        "Perhaps a professional can help you with that.",
    }
)
"""Of `REFUSALS`, those that refuse only beside another."""


def pool(sentences: tuple[str, ...], split: str) -> tuple[str, ...]:
    """The sentences of one split: even places train, odd places test; meta has others."""
    if split == "meta":
        return _META[sentences]
    return sentences[0::2] if split == "train" else sentences[1::2]


def everywhere(sentences: tuple[str, ...]) -> tuple[str, ...]:
    """The sentences of all splits."""
    return sentences + _META[sentences]
