"""Golden sentences: what a linguist expects of each phenomenon in nine languages."""

import pytest

from recipes.micro.grammar import GRAMMARS
from recipes.micro.grammar.deu import German
from recipes.micro.grammar.syntax import Clause, Meaning, NounPhrase, Place

NP = NounPhrase

# Written by hand, a comment for each phenomenon; order: eng deu fra ita spa swe nld por nob.
GOLDEN = {
    # adjectives: position in French, weak and mixed endings, double definiteness
    Meaning(
        Clause(NP("teacher", adjective="old"), "see", NP("house", "a", adjective="red"))
    ): """The old teacher sees a red house.
        Der alte Lehrer sieht ein rotes Haus.
        Le vieux professeur voit une maison rouge.
        Il maestro vecchio vede una casa rossa.
        El maestro viejo ve una casa roja.
        Den gamla läraren ser ett rött hus.
        De oude leraar ziet een rood huis.
        O professor velho vê uma casa vermelha.
        Den gamle læreren ser et rødt hus.""",
    # a prevocalic adjective, lo and uno, a weak German noun, the personal a
    Meaning(
        Clause(NP("student", "a", adjective="old"), "see", NP("friend", "a", adjective="good"))
    ): """An old student sees a good friend.
        Ein alter Student sieht einen guten Freund.
        Un vieil étudiant voit un bon ami.
        Uno studente vecchio vede un amico buono.
        Un estudiante viejo ve a un amigo bueno.
        En gammal student ser en god vän.
        Een oude student ziet een goede vriend.
        Um estudante velho vê um amigo bom.
        En gammel student ser en god venn.""",
    # numbers and plurals; two agrees in Portuguese
    Meaning(
        Clause(
            NP("girl", "2", plural=True), "buy", NP("apple", "3", plural=True, adjective="sweet")
        )
    ): """Two girls buy three sweet apples.
        Zwei Mädchen kaufen drei süße Äpfel.
        Deux filles achètent trois pommes sucrées.
        Due ragazze comprano tre mele dolci.
        Dos muchachas compran tres manzanas dulces.
        Två flickor köper tre söta äpplen.
        Twee meisjes kopen drie zoete appels.
        Duas meninas compram três maçãs doces.
        To jenter kjøper tre søte epler.""",
    # a fronted adverb: the verb stays second; the past; an owner
    Meaning(
        Clause(
            NP("boy"),
            "find",
            NP("dog", adjective="small", owner="king"),
            time="yesterday",
            past=True,
        )
    ): """Yesterday the boy found the king's small dog.
        Gestern fand der Junge den kleinen Hund des Königs.
        Hier le garçon a trouvé le petit chien du roi.
        Ieri il ragazzo ha trovato il cane piccolo del re.
        Ayer el muchacho encontró al perro pequeño del rey.
        I går hittade pojken kungens lilla hund.
        Gisteren vond de jongen de kleine hond van de koning.
        Ontem o menino encontrou o cachorro pequeno do rei.
        I går fant gutten kongens lille hund.""",
    # negation with an auxiliary; a particle verb; accusative of a weak noun
    Meaning(
        Clause(NP("child", plural=True), "seek", NP("neighbor"), modal="want", negative=True)
    ): """The children do not want to look for the neighbor.
        Die Kinder wollen den Nachbarn nicht suchen.
        Les enfants ne veulent pas chercher le voisin.
        I bambini non vogliono cercare il vicino.
        Los niños no quieren buscar al vecino.
        Barnen vill inte leta efter grannen.
        De kinderen willen de buurman niet zoeken.
        As crianças não querem procurar o vizinho.
        Barna vil ikke lete etter naboen.""",
    # negation before a vowel and around "a"
    Meaning(
        Clause(
            NP("man"), "open", NP("window", plural=True), time="last_week", past=True, negative=True
        )
    ): """Last week the man did not open the windows.
        Letzte Woche öffnete der Mann die Fenster nicht.
        La semaine dernière l'homme n'a pas ouvert les fenêtres.
        La settimana scorsa l'uomo non ha aperto le finestre.
        La semana pasada el hombre no abrió las ventanas.
        Förra veckan öppnade mannen inte fönstren.
        Vorige week opende de man de ramen niet.
        Na semana passada o homem não abriu as janelas.
        Forrige uke åpnet mannen ikke vinduene.""",
    # the recipient: dative, au and all', doubled in Spanish, first in Scandinavia
    Meaning(
        Clause(NP("man"), "give", NP("book", "a"), recipient=NP("friend", plural=True))
    ): """The man gives a book to the friends.
        Der Mann gibt den Freunden ein Buch.
        L'homme donne un livre aux amis.
        L'uomo dà un libro agli amici.
        El hombre les da un libro a los amigos.
        Mannen ger vännerna en bok.
        De man geeft een boek aan de vrienden.
        O homem dá um livro aos amigos.
        Mannen gir vennene en bok.""",
    # the dative of a weak noun
    Meaning(
        Clause(NP("farmer"), "show", NP("cow", adjective="white"), recipient=NP("student"))
    ): """The farmer shows the white cow to the student.
        Der Bauer zeigt dem Studenten die weiße Kuh.
        Le fermier montre la vache blanche à l'étudiant.
        Il contadino mostra la mucca bianca allo studente.
        El campesino le muestra la vaca blanca al estudiante.
        Bonden visar studenten den vita kon.
        De boer toont de witte koe aan de student.
        O agricultor mostra a vaca branca ao estudante.
        Bonden viser studenten den hvite kua.""",
    # places: im, dans l', nell', no; på in Norwegian schools
    Meaning(
        Clause(
            NP("girl", plural=True),
            "sing",
            place=Place("in", NP("school", adjective="old")),
            time="today",
        )
    ): """Today the girls sing in the old school.
        Heute singen die Mädchen in der alten Schule.
        Aujourd'hui les filles chantent dans la vieille école.
        Oggi le ragazze cantano nella scuola vecchia.
        Hoy las muchachas cantan en la escuela vieja.
        I dag sjunger flickorna i den gamla skolan.
        Vandaag zingen de meisjes in de oude school.
        Hoje as meninas cantam na escola velha.
        I dag synger jentene på den gamle skolen.""",
    # compound prepositions: à côté de l', accanto all', del, da
    Meaning(
        Clause(NP("horse"), "sleep", place=Place("beside", NP("tree", adjective="big")))
    ): """The horse sleeps next to the big tree.
        Das Pferd schläft neben dem großen Baum.
        Le cheval dort à côté du grand arbre.
        Il cavallo dorme accanto all'albero grande.
        El caballo duerme al lado del árbol grande.
        Hästen sover bredvid det stora trädet.
        Het paard slaapt naast de grote boom.
        O cavalo dorme ao lado da árvore grande.
        Hesten sover ved siden av det store treet.""",
    # on and under furniture
    Meaning(
        Clause(NP("woman"), "find", NP("key"), place=Place("on", NP("bed")))
    ): """The woman finds the key on the bed.
        Die Frau findet den Schlüssel auf dem Bett.
        La femme trouve la clé sur le lit.
        La donna trova la chiave sul letto.
        La mujer encuentra la llave sobre la cama.
        Kvinnan hittar nyckeln på sängen.
        De vrouw vindt de sleutel op het bed.
        A mulher encontra a chave sobre a cama.
        Kvinnen finner nøkkelen på sengen.""",
    # subordinate order: the verb last, or the negation before it
    Meaning(
        Clause(NP("father"), "cry"),
        conjunction="because",
        second=Clause(NP("horse"), "drink", NP("water"), negative=True),
    ): """The father cries because the horse does not drink the water.
        Der Vater weint, weil das Pferd das Wasser nicht trinkt.
        Le père pleure parce que le cheval ne boit pas l'eau.
        Il padre piange perché il cavallo non beve l'acqua.
        El padre llora porque el caballo no bebe el agua.
        Fadern gråter eftersom hästen inte dricker vattnet.
        De vader huilt omdat het paard het water niet drinkt.
        O pai chora porque o cavalo não bebe a água.
        Faren gråter fordi hesten ikke drikker vannet.""",
    # coordination with a comma
    Meaning(
        Clause(NP("brother"), "wait", negative=True),
        conjunction="but",
        second=Clause(NP("sister", plural=True), "dance"),
    ): """The brother does not wait, but the sisters dance.
        Der Bruder wartet nicht, aber die Schwestern tanzen.
        Le frère n'attend pas, mais les sœurs dansent.
        Il fratello non aspetta, ma le sorelle ballano.
        El hermano no espera, pero las hermanas bailan.
        Brodern väntar inte, men systrarna dansar.
        De broer wacht niet, maar de zussen dansen.
        O irmão não espera, mas as irmãs dançam.
        Broren venter ikke, men søstrene danser.""",
    # predicative agreement, bare in German and Dutch
    Meaning(
        Clause(NP("house", plural=True, owner="woman"), "be", complement=("small", "white"))
    ): """The woman's houses are small and white.
        Die Häuser der Frau sind klein und weiß.
        Les maisons de la femme sont petites et blanches.
        Le case della donna sono piccole e bianche.
        Las casas de la mujer son pequeñas y blancas.
        Kvinnans hus är små och vita.
        De huizen van de vrouw zijn klein en wit.
        As casas da mulher são pequenas e brancas.
        Kvinnens hus er små og hvite.""",
    # a neuter predicate, negated
    Meaning(
        Clause(NP("table"), "be", complement=("round",), negative=True)
    ): """The table is not round.
        Der Tisch ist nicht rund.
        La table n'est pas ronde.
        Il tavolo non è rotondo.
        La mesa no es redonda.
        Bordet är inte runt.
        De tafel is niet rond.
        A mesa não é redonda.
        Bordet er ikke rundt.""",
    # a modal with a fronted adverb; an indefinite accusative
    Meaning(
        Clause(
            NP("doctor"), "wash", NP("shirt", "a", adjective="dirty"), time="tomorrow", modal="must"
        )
    ): """Tomorrow the doctor must wash a dirty shirt.
        Morgen muss der Arzt ein schmutziges Hemd waschen.
        Demain le médecin doit laver une chemise sale.
        Domani il medico deve lavare una camicia sporca.
        Mañana el médico debe lavar una camisa sucia.
        I morgon måste läkaren tvätta en smutsig skjorta.
        Morgen moet de dokter een vuil hemd wassen.
        Amanhã o médico deve lavar uma camisa suja.
        I morgen må legen vaske en skitten skjorte.""",
    # questions
    Meaning(
        Clause(NP("teacher"), "read", NP("letter")), "yesno"
    ): """Does the teacher read the letter?
        Liest der Lehrer den Brief?
        Est-ce que le professeur lit la lettre ?
        Il maestro legge la lettera?
        ¿Lee el maestro la carta?
        Läser läraren brevet?
        Leest de leraar de brief?
        O professor lê a carta?
        Leser læreren brevet?""",
    Meaning(
        Clause(NP("man"), "draw", NP("bird", adjective="beautiful"), past=True), "who"
    ): """Who drew the beautiful bird?
        Wer zeichnete den schönen Vogel?
        Qui a dessiné le bel oiseau ?
        Chi ha disegnato l'uccello bello?
        ¿Quién dibujó al pájaro hermoso?
        Vem ritade den vackra fågeln?
        Wie tekende de mooie vogel?
        Quem desenhou o pássaro bonito?
        Hvem tegnet den vakre fuglen?""",
    Meaning(
        Clause(NP("student"), "write", modal="want"), "what"
    ): """What does the student want to write?
        Was will der Student schreiben?
        Qu'est-ce que l'étudiant veut écrire ?
        Che cosa vuole scrivere lo studente?
        ¿Qué quiere escribir el estudiante?
        Vad vill studenten skriva?
        Wat wil de student schrijven?
        O que o estudante quer escrever?
        Hva vil studenten skrive?""",
    Meaning(Clause(NP("child", plural=True), "play"), "where"): """Where do the children play?
        Wo spielen die Kinder?
        Où est-ce que les enfants jouent ?
        Dove giocano i bambini?
        ¿Dónde juegan los niños?
        Var leker barnen?
        Waar spelen de kinderen?
        Onde as crianças brincam?
        Hvor leker barna?""",
    Meaning(
        Clause(NP("mother"), "eat", NP("cake"), modal="can", negative=True), "why"
    ): """Why can the mother not eat the cake?
        Warum kann die Mutter den Kuchen nicht essen?
        Pourquoi est-ce que la mère ne peut pas manger le gâteau ?
        Perché la madre non può mangiare la torta?
        ¿Por qué no puede la madre comer el pastel?
        Varför kan modern inte äta kakan?
        Waarom kan de moeder de taart niet eten?
        Por que a mãe não pode comer o bolo?
        Hvorfor kan moren ikke spise kaken?""",
}


@pytest.mark.parametrize("meaning", GOLDEN, ids=lambda meaning: GOLDEN[meaning].partition(".")[0])
def test_golden_sentences(meaning):
    expected = [line.strip() for line in GOLDEN[meaning].splitlines()]
    assert [grammar.sentence(meaning) for grammar in GRAMMARS.values()] == expected


@pytest.mark.parametrize(
    ("case", "phrase", "expected"),
    [
        ("nominative", NP("book", adjective="expensive"), "das teure Buch"),
        ("accusative", NP("farmer", "a", adjective="poor"), "einen armen Bauern"),
        ("dative", NP("child", adjective="sick"), "dem kranken Kind"),
        ("dative", NP("friend", plural=True, adjective="good"), "den guten Freunden"),
        ("dative", NP("dog", owner="student"), "dem Hund des Studenten"),
    ],
)
def test_german_cases(case, phrase, expected):
    assert German().phrase(phrase, case) == expected
