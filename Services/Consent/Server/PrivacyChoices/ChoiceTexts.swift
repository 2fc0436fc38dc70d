import ConsentDomain

/// What the pages of `/privacy-choices` say, in one language.
struct ChoiceTexts: Sendable {
    let title: String
    let introduction: String
    let privacyControl: String
    let nothingSold: String
    let choices: String
    let sale: String
    let saleHint: String
    let limit: String
    let limitHint: String
    let addressToo: String
    let addressHint: String
    let browserHint: String
    let choose: String
    /// Before what was done.
    let done: String
    let optedOut: String
    let limited: String
    let nothingChosen: String
    let outdated: String
    let tooMany: String
    let requestsTitle: String
    let requestsHint: String
    let requestsLink: String
    let requestsIntroduction: String
    let requestsQuestion: String
    let requestsAddressHint: String
    let know: String
    let knowQuestion: String
    let knowConfirm: String
    let delete: String
    let deleteWarning: String
    let deleteConfirm: String
    let filed: String
    let nothingKnown: String

    static func of(_ language: PageLanguage) -> ChoiceTexts {
        switch language {
        case .english: english
        case .german: german
        case .french: french
        case .spanish: spanish
        }
    }

    /// What was done by a choice.
    func done(_ choice: ChoiceDesk.Choice) -> String {
        ([done] + (choice.sale ? [optedOut] : []) + (choice.limit ? [limited] : [])).joined(separator: " ")
    }

    private static let english = ChoiceTexts(
        title: "Your privacy choices",
        introduction:
            "Under the laws of California and other states you can decide what is done with your personal information. Nobody is treated worse for it.",
        privacyControl:
            "Your opt-out is honored: your browser sends the Global Privacy Control, and what we learn from it is not sold or shared.",
        nothingSold: "We do not sell or share personal information.", choices: "What you can choose",
        sale: "Do not sell or share my personal information",
        saleHint: "Nor is it used for advertising that follows you from one site to the next.",
        limit: "Limit the use of my sensitive personal information",
        limitHint: "It is used for nothing but what you have asked us for.",
        addressToo: "Your e-mail address, if it is to hold for that as well",
        addressHint:
            "It holds for everything that we know by this address. You need no account, and we ask for nothing else.",
        browserHint:
            "It holds for this browser at once. With an address it also holds for everything that we know by that.",
        choose: "Save my choice",
        done: "Done.", optedOut: "From now on we neither sell nor share your personal information.",
        limited: "From now on we limit the use of your sensitive personal information.",
        nothingChosen: "Nothing was changed: please tick what you choose, and give your address.",
        outdated: "Nothing was changed: this page was too old. Please choose again.",
        tooMany: "Too much comes from your network at the moment. Please try again in an hour.",
        requestsTitle: "Know, or have deleted",
        requestsHint: "Ask what we know of you, or have us delete it.", requestsLink: "Ask for it",
        requestsIntroduction:
            "We answer within 45 days. So that nobody else gets or deletes what we know of you, we send you a link to confirm.",
        requestsQuestion: "What do you ask for?",
        requestsAddressHint:
            "The one that we know you by. We send the link there; nothing happens before you confirm.",
        know: "What we know of you",
        knowQuestion:
            "You ask for a copy of everything that we know of you. We gather it and send it to you; it is not shown here.",
        knowConfirm: "Yes, I ask for it", delete: "Deleting what we know of you",
        deleteWarning:
            "We delete everything that we know of you, in all of our systems. It can’t be undone. What the law makes us keep, such as invoices, is kept elsewhere and for that alone.",
        deleteConfirm: "Delete it now", filed: "We have your request.",
        nothingKnown: "We know nothing by this address, so there is nothing to show or to delete.")

    private static let german = ChoiceTexts(
        title: "Ihre Wahl beim Datenschutz",
        introduction:
            "Nach den Gesetzen Kaliforniens und anderer Staaten können Sie entscheiden, was mit Ihren personenbezogenen Daten geschieht. Niemand wird deswegen schlechter behandelt.",
        privacyControl:
            "Ihr Widerspruch wird beachtet: Ihr Browser sendet die Global Privacy Control, und was wir durch ihn erfahren, wird weder verkauft noch weitergegeben.",
        nothingSold: "Wir verkaufen keine personenbezogenen Daten und geben keine weiter.",
        choices: "Was Sie wählen können",
        sale: "Meine personenbezogenen Daten nicht verkaufen oder weitergeben",
        saleHint:
            "Sie werden auch nicht für Werbung verwendet, die Ihnen von einer Website zur nächsten folgt.",
        limit: "Die Verwendung meiner sensiblen Daten einschränken",
        limitHint: "Sie werden nur für das verwendet, worum Sie uns gebeten haben.",
        addressToo: "Ihre E-Mail-Adresse, wenn es auch für sie gelten soll",
        addressHint:
            "Es gilt für alles, was wir unter dieser Adresse wissen. Sie brauchen kein Konto, und wir fragen nach nichts anderem.",
        browserHint:
            "Es gilt sofort für diesen Browser. Mit einer Adresse gilt es auch für alles, was wir unter ihr wissen.",
        choose: "Meine Wahl speichern",
        done: "Erledigt.",
        optedOut: "Ab jetzt verkaufen wir Ihre personenbezogenen Daten nicht und geben sie nicht weiter.",
        limited: "Ab jetzt schränken wir die Verwendung Ihrer sensiblen Daten ein.",
        nothingChosen:
            "Es wurde nichts geändert: Bitte kreuzen Sie an, was Sie wählen, und nennen Sie Ihre Adresse.",
        outdated: "Es wurde nichts geändert: Diese Seite war zu alt. Bitte wählen Sie noch einmal.",
        tooMany:
            "Aus Ihrem Netz kommt im Moment zu viel. Bitte versuchen Sie es in einer Stunde noch einmal.",
        requestsTitle: "Erfahren oder löschen lassen",
        requestsHint: "Fragen Sie, was wir über Sie wissen, oder lassen Sie es löschen.",
        requestsLink: "Antrag stellen",
        requestsIntroduction:
            "Wir antworten innerhalb von 45 Tagen. Damit niemand anderes bekommt oder löscht, was wir über Sie wissen, senden wir Ihnen einen Link zur Bestätigung.",
        requestsQuestion: "Worum bitten Sie?",
        requestsAddressHint:
            "Die, unter der wir Sie kennen. Dorthin senden wir den Link; vorher geschieht nichts.",
        know: "Was wir über Sie wissen",
        knowQuestion:
            "Sie bitten um eine Kopie von allem, was wir über Sie wissen. Wir stellen sie zusammen und senden sie Ihnen; hier wird sie nicht gezeigt.",
        knowConfirm: "Ja, ich bitte darum", delete: "Löschen, was wir über Sie wissen",
        deleteWarning:
            "Wir löschen alles, was wir über Sie wissen, in allen unseren Systemen. Das lässt sich nicht rückgängig machen. Was wir nach dem Gesetz aufbewahren müssen, etwa Rechnungen, wird an anderer Stelle und nur dafür aufbewahrt.",
        deleteConfirm: "Jetzt löschen", filed: "Wir haben Ihren Antrag.",
        nothingKnown:
            "Unter dieser Adresse wissen wir nichts; es gibt nichts zu zeigen und nichts zu löschen.")

    private static let french = ChoiceTexts(
        title: "Vos choix de confidentialité",
        introduction:
            "D’après les lois de la Californie et d’autres États, vous pouvez décider de ce qui est fait de vos données personnelles. Personne n’est moins bien traité pour cela.",
        privacyControl:
            "Votre refus est respecté : votre navigateur envoie le Global Privacy Control, et ce que nous apprenons par lui n’est ni vendu ni partagé.",
        nothingSold: "Nous ne vendons ni ne partageons de données personnelles.",
        choices: "Ce que vous pouvez choisir",
        sale: "Ne pas vendre ni partager mes données personnelles",
        saleHint: "Elles ne servent pas non plus à de la publicité qui vous suit d’un site à l’autre.",
        limit: "Limiter l’utilisation de mes données sensibles",
        limitHint: "Elles ne servent qu’à ce que vous nous avez demandé.",
        addressToo: "Votre adresse e-mail, si cela doit valoir pour elle aussi",
        addressHint:
            "Cela vaut pour tout ce que nous savons par cette adresse. Il ne vous faut pas de compte, et nous ne demandons rien d’autre.",
        browserHint:
            "Cela vaut tout de suite pour ce navigateur. Avec une adresse, cela vaut aussi pour tout ce que nous savons par elle.",
        choose: "Enregistrer mon choix",
        done: "C’est fait.",
        optedOut: "Dès maintenant, nous ne vendons ni ne partageons vos données personnelles.",
        limited: "Dès maintenant, nous limitons l’utilisation de vos données sensibles.",
        nothingChosen: "Rien n’a été changé : cochez ce que vous choisissez, et indiquez votre adresse.",
        outdated: "Rien n’a été changé : cette page était trop ancienne. Veuillez choisir à nouveau.",
        tooMany: "Trop de demandes viennent de votre réseau. Veuillez réessayer dans une heure.",
        requestsTitle: "Savoir ou faire supprimer",
        requestsHint: "Demandez ce que nous savons de vous, ou faites-le supprimer.",
        requestsLink: "Faire une demande",
        requestsIntroduction:
            "Nous répondons dans les 45 jours. Pour que personne d’autre ne reçoive ni ne supprime ce que nous savons de vous, nous vous envoyons un lien de confirmation.",
        requestsQuestion: "Que demandez-vous ?",
        requestsAddressHint:
            "Celle par laquelle nous vous connaissons. Nous y envoyons le lien ; rien ne se passe avant.",
        know: "Ce que nous savons de vous",
        knowQuestion:
            "Vous demandez une copie de tout ce que nous savons de vous. Nous la réunissons et vous l’envoyons ; elle n’est pas montrée ici.",
        knowConfirm: "Oui, je la demande", delete: "Supprimer ce que nous savons de vous",
        deleteWarning:
            "Nous supprimons tout ce que nous savons de vous, dans tous nos systèmes. C’est irréversible. Ce que la loi nous oblige à garder, comme les factures, est gardé ailleurs et pour cela seulement.",
        deleteConfirm: "Supprimer maintenant", filed: "Nous avons votre demande.",
        nothingKnown: "Nous ne savons rien par cette adresse ; il n’y a rien à montrer ni à supprimer.")

    private static let spanish = ChoiceTexts(
        title: "Sus opciones de privacidad",
        introduction:
            "Según las leyes de California y de otros estados, usted puede decidir qué se hace con sus datos personales. Nadie recibe peor trato por ello.",
        privacyControl:
            "Su exclusión se respeta: su navegador envía el Global Privacy Control, y lo que sabemos por él no se vende ni se comparte.",
        nothingSold: "No vendemos ni compartimos datos personales.", choices: "Lo que puede elegir",
        sale: "No vender ni compartir mis datos personales",
        saleHint: "Tampoco se usan para publicidad que le sigue de un sitio a otro.",
        limit: "Limitar el uso de mis datos sensibles",
        limitHint: "Solo se usan para lo que usted nos ha pedido.",
        addressToo: "Su dirección de correo electrónico, si ha de valer también para ella",
        addressHint:
            "Vale para todo lo que sabemos por esta dirección. No necesita una cuenta, y no preguntamos nada más.",
        browserHint:
            "Vale de inmediato para este navegador. Con una dirección vale también para todo lo que sabemos por ella.",
        choose: "Guardar mi elección",
        done: "Hecho.", optedOut: "Desde ahora no vendemos ni compartimos sus datos personales.",
        limited: "Desde ahora limitamos el uso de sus datos sensibles.",
        nothingChosen: "No se ha cambiado nada: marque lo que elige, e indique su dirección.",
        outdated: "No se ha cambiado nada: esta página era demasiado antigua. Elija otra vez, por favor.",
        tooMany: "Llega demasiado desde su red en este momento. Inténtelo de nuevo en una hora.",
        requestsTitle: "Saber o hacer borrar",
        requestsHint: "Pregunte qué sabemos de usted, o haga que lo borremos.",
        requestsLink: "Hacer una solicitud",
        requestsIntroduction:
            "Respondemos en un plazo de 45 días. Para que nadie más reciba o borre lo que sabemos de usted, le enviamos un enlace para confirmar.",
        requestsQuestion: "¿Qué solicita?",
        requestsAddressHint:
            "La dirección por la que le conocemos. Allí enviamos el enlace; antes no pasa nada.",
        know: "Lo que sabemos de usted",
        knowQuestion:
            "Usted solicita una copia de todo lo que sabemos de usted. La reunimos y se la enviamos; aquí no se muestra.",
        knowConfirm: "Sí, la solicito", delete: "Borrar lo que sabemos de usted",
        deleteWarning:
            "Borramos todo lo que sabemos de usted, en todos nuestros sistemas. No se puede deshacer. Lo que la ley nos obliga a guardar, como las facturas, se guarda en otro lugar y solo para eso.",
        deleteConfirm: "Borrar ahora", filed: "Tenemos su solicitud.",
        nothingKnown: "No sabemos nada por esta dirección; no hay nada que mostrar ni que borrar.")
}
