"""What can be wrong, as a closed set: for each kind how grave it is, and in both languages its cause, its consequence
and what a person should do. The alarm itself adds its subject (a bus, a point) and a detail in the loop's own words.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """URGENT: comfort, hygiene or a bill is at stake now. WARNING: something degrades. NOTE: somebody should know."""

    URGENT = "urgent"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True)
class Words:
    """What people are told, in one language."""

    title: str
    cause: str
    consequence: str
    remedy: str


@dataclass(frozen=True)
class Kind:
    """One kind of alarm. `holds`: it stays until its cause is gone; else it is an event, cleared after a day."""

    name: str
    severity: Severity
    fr: Words
    en: Words
    holds: bool = True


_URGENT, _WARNING, _NOTE = Severity.URGENT, Severity.WARNING, Severity.NOTE

_ALL = (
    Kind(
        "bus-silent",
        _URGENT,
        Words(
            "Un bus ne répond plus",
            "La passerelle ou le câble ne répond pas.",
            "Ses appareils fonctionnent seuls ; leurs mesures manquent.",
            "Vérifier l'alimentation et le réseau de la passerelle.",
        ),
        Words(
            "A bus does not answer",
            "The gateway or its cable does not answer.",
            "Its devices run on their own; their measurements are missing.",
            "Check the gateway's power and network.",
        ),
    ),
    Kind(
        "device-unheard",
        _WARNING,
        Words(
            "Un chien de garde n'est plus servi",
            "L'appareil refuse le signe de vie.",
            "Il reviendra à sa régulation locale.",
            "Vérifier le point du signe de vie dans l'appareil.",
        ),
        Words(
            "A watchdog cannot be kept content",
            "The device refuses our sign of life.",
            "It will return to its own control.",
            "Check the heartbeat's point in the device.",
        ),
    ),
    Kind(
        "command-expired",
        _WARNING,
        Words(
            "Des consignes ont expiré",
            "Aucun plan ne les a renouvelées à temps.",
            "Les appareils concernés sont revenus à leur régulation locale.",
            "Chercher l'alarme du planificateur ou de la base de données.",
        ),
        Words(
            "Commands expired",
            "No plan renewed them in time.",
            "The devices concerned are back under their own control.",
            "Look for an alarm of the planner or the database.",
        ),
        holds=False,
    ),
    Kind(
        "setpoint-moved",
        _WARNING,
        Words(
            "Une consigne ne tient pas",
            "L'appareil a redémarré, ou n'a pas appliqué ce qu'il a accepté.",
            "La consigne est réécrite au plan suivant.",
            "Si cela se répète, inspecter l'appareil.",
        ),
        Words(
            "A set point does not hold",
            "The device restarted, or did not apply what it accepted.",
            "The set point is written again with the next plan.",
            "If it happens again, inspect the device.",
        ),
    ),
    Kind(
        "setpoint-held",
        _NOTE,
        Words(
            "Quelqu'un tient une consigne",
            "Une commande de priorité supérieure est active dans l'appareil.",
            "Nous n'y touchons pas.",
            "Libérer la commande à l'appareil quand elle n'est plus utile.",
        ),
        Words(
            "Somebody holds a set point",
            "A command of higher priority is active in the device.",
            "We leave it alone.",
            "Release it at the device when it is no longer needed.",
        ),
    ),
    Kind(
        "setpoint-refused",
        _WARNING,
        Words(
            "Une consigne est refusée",
            "L'enveloppe de sécurité ou l'appareil l'a refusée.",
            "L'appareil garde sa consigne précédente.",
            "Lire le détail ; corriger la mesure ou la limite en cause.",
        ),
        Words(
            "A set point is refused",
            "The safety envelope or the device refused it.",
            "The device keeps what it had.",
            "Read the detail; correct the measurement or limit it names.",
        ),
    ),
    Kind(
        "setpoint-undelivered",
        _WARNING,
        Words(
            "Une consigne n'a pas été remise",
            "L'appareil n'a pas répondu de façon crédible.",
            "Son état n'est pas connu ; il se rabat sur sa régulation locale.",
            "Vérifier l'appareil et sa liaison.",
        ),
        Words(
            "A set point was not delivered",
            "The device gave no answer that could be believed.",
            "What stands in it is not known; it falls back to its own control.",
            "Check the device and its line.",
        ),
    ),
    Kind(
        "meter-frozen",
        _WARNING,
        Words(
            "Une mesure est figée",
            "La valeur n'a pas changé depuis longtemps.",
            "Elle n'est plus utilisée.",
            "Vérifier le capteur ou le compteur.",
        ),
        Words(
            "A measurement is frozen",
            "Its value has not changed for a long time.",
            "It is not used any more.",
            "Check the sensor or the meter.",
        ),
    ),
    Kind(
        "meter-implausible",
        _WARNING,
        Words(
            "Une mesure est invraisemblable",
            "La valeur sort de ce que cette grandeur peut être, ou un compteur a reculé.",
            "Elle n'est pas utilisée et n'entre dans aucun total.",
            "Vérifier le capteur, son échelle et son unité.",
        ),
        Words(
            "A measurement is implausible",
            "The value is outside what this quantity can be, or a counter went back.",
            "It is not used and enters no total.",
            "Check the sensor, its scale and its unit.",
        ),
    ),
    Kind(
        "meter-missing",
        _WARNING,
        Words(
            "Une mesure manque",
            "Le point ne donne plus de valeur.",
            "Les prévisions et le plan s'en passent.",
            "Vérifier l'appareil.",
        ),
        Words(
            "A measurement is missing",
            "The point gives no value any more.",
            "Forecasts and plan do without it.",
            "Check the device.",
        ),
    ),
    Kind(
        "meter-changed",
        _WARNING,
        Words(
            "Une mesure a changé de niveau",
            "Compteur remplacé ou remis à zéro, changement d'échelle, ou un saut réel.",
            "Le nouveau niveau est utilisé ; l'énergie du saut n'est comptée nulle part.",
            "Confirmer le remplacement du compteur, ou corriger son échelle.",
        ),
        Words(
            "A measurement changed its level",
            "A meter was replaced or reset, its scale changed, or it really jumped.",
            "The new level is used; the energy of the jump is counted nowhere.",
            "Confirm the exchange of the meter, or correct its scale.",
        ),
        holds=False,
    ),
    Kind(
        "clock-stepped",
        _WARNING,
        Words(
            "L'horloge a sauté",
            "L'heure de la machine a été changée.",
            "Un quart d'heure déjà décidé n'est pas décidé deux fois.",
            "Vérifier la synchronisation de l'heure (NTP).",
        ),
        Words(
            "The clock was stepped",
            "The machine's time was changed.",
            "A quarter-hour already decided is not decided twice.",
            "Check the machine's time synchronisation (NTP).",
        ),
        holds=False,
    ),
    Kind(
        "cycle-failed",
        _URGENT,
        Words(
            "Un cycle a échoué",
            "Une erreur imprévue a interrompu le cycle.",
            "Ce quart d'heure n'a pas de plan propre ; la boucle continue.",
            "Transmettre le détail à l'équipe technique.",
        ),
        Words(
            "A cycle failed",
            "An unforeseen error ended the cycle.",
            "This quarter-hour has no plan of its own; the loop goes on.",
            "Pass the detail on to the technical team.",
        ),
    ),
    Kind(
        "plan-missing",
        _WARNING,
        Words(
            "Pas de nouveau plan",
            "Le planificateur n'a pas répondu ou a échoué.",
            "Le dernier plan est décalé, puis des règles fixes, puis la régulation locale prennent le relais.",
            "Lire le détail ; redémarrer le service si cela dure.",
        ),
        Words(
            "No new plan",
            "The planner did not answer, or failed.",
            "The last plan is shifted; then fixed rules, then local control take over.",
            "Read the detail; restart the service if it lasts.",
        ),
    ),
    Kind(
        "local-control",
        _URGENT,
        Words(
            "Régulation locale",
            "Il n'y a plus ni plan ni règle utilisable.",
            "Les appareils fonctionnent seuls : confort assuré, sans optimisation.",
            "Rétablir le planificateur, les mesures ou la base de données.",
        ),
        Words(
            "Local control",
            "Neither a plan nor a rule can be used.",
            "Devices run on their own: comfort is kept, nothing is optimised.",
            "Bring the planner, the measurements or the database back.",
        ),
    ),
    Kind(
        "handed-back",
        _NOTE,
        Words(
            "Main rendue",
            "Une personne a rendu la main aux appareils.",
            "Rien n'est écrit dans ce périmètre jusqu'à la reprise.",
            "Reprendre la main quand les travaux sont finis.",
        ),
        Words(
            "Control handed back",
            "A person gave control back to the devices.",
            "Nothing is written there until it is taken again.",
            "Take control again when the work is done.",
        ),
    ),
    Kind(
        "weather-absent",
        _NOTE,
        Words(
            "Pas de prévision météo",
            "Le fichier météo manque, est trop ancien ou invraisemblable.",
            "Climatologie et persistance la remplacent.",
            "Vérifier le flux météo.",
        ),
        Words(
            "No weather forecast",
            "The weather file is missing, too old or absurd.",
            "Climatology and persistence stand in.",
            "Check the weather feed.",
        ),
    ),
    Kind(
        "forecast-refused",
        _NOTE,
        Words(
            "Prévision refusée",
            "Un modèle prévoit plus de dix fois ce qui a jamais été mesuré.",
            "Les mêmes quarts d'heure de la semaine passée la remplacent.",
            "Vérifier le compteur et ce qu'il a montré ces dernières semaines.",
        ),
        Words(
            "Forecast refused",
            "A model expects more than ten times what was ever measured.",
            "The same quarter-hours of last week stand in.",
            "Check the meter and what it showed in the last weeks.",
        ),
    ),
    Kind(
        "database-held",
        _WARNING,
        Words(
            "Base de données indisponible",
            "Elle est verrouillée, pleine ou absente.",
            "Les mesures attendent dans un fichier, ou en mémoire si le disque manque, et seront enregistrées.",
            "Chercher qui tient la base, libérer de la place, ou rebrancher le disque.",
        ),
        Words(
            "The database is not available",
            "It is locked, full or gone.",
            "Readings wait in a file, or in memory where the disk is gone; they are saved when it answers.",
            "Find who holds the database, free space, or bring the disk back.",
        ),
    ),
    Kind(
        "disk-low",
        _URGENT,
        Words(
            "Le disque est presque plein",
            "Il reste peu de place.",
            "L'archivage puis les enregistrements détaillés s'arrêtent ; la régulation continue.",
            "Libérer de la place.",
        ),
        Words(
            "The disk is almost full",
            "Little space is left.",
            "Archiving and then detailed records stop; control goes on.",
            "Free space.",
        ),
    ),
    Kind(
        "store-damaged",
        _URGENT,
        Words(
            "Données endommagées",
            "Un jour scellé ne correspond plus à sa somme de contrôle.",
            "Ces mesures ne sont plus sûres.",
            "Restaurer une sauvegarde : ems restore.",
        ),
        Words(
            "Damaged data",
            "A sealed day no longer matches its checksum.",
            "Its readings are not safe any more.",
            "Restore a back-up: ems restore.",
        ),
    ),
    Kind(
        "part-failed",
        _WARNING,
        Words(
            "Un processus s'est arrêté",
            "Le processus des pages ou du planificateur est mort.",
            "Il est relancé.",
            "Si cela se répète, lire son journal.",
        ),
        Words(
            "A process ended",
            "The process of the pages or of the planner died.",
            "It is started again.",
            "If it happens again, read its log.",
        ),
        holds=False,
    ),
)

KINDS: dict[str, Kind] = {kind.name: kind for kind in _ALL}
