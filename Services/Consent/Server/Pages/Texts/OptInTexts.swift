import ConsentDomain

/// What opt-in pages and their mails say beside the words of the form, in one language.
struct OptInTexts: Sendable {
    let address: String
    let hint: String
    let ask: String
    let invalid: String
    let askedTitle: String
    let asked: String
    let tooMany: String
    let confirm: String
    let confirmedTitle: String
    let confirmed: String
    let mailConfirm: String
    let mailIgnore: String

    static func of(_ language: PageLanguage) -> OptInTexts {
        switch language {
        case .english: english
        case .german: german
        case .french: french
        case .spanish: spanish
        }
    }

    private static let english = OptInTexts(
        address: "Your e-mail address", hint: "We send you a link to confirm it; nothing happens before.",
        ask: "Continue", invalid: "This is not an e-mail address. Please look at it once more.",
        askedTitle: "Please look into your mail",
        asked:
            "We have sent you a link. It is good for two days, and nothing happens before you confirm there. If no mail comes, look whether the address was right, or wait for a day.",
        tooMany: "Too much comes from your network at the moment. Please try again in an hour.",
        confirm: "Yes, I agree", confirmedTitle: "Thank you",
        confirmed: "It is confirmed. You can change your mind at any time, by the link in every mail.",
        mailConfirm: "Confirm here, within two days:",
        mailIgnore: "If it was not you who asked for this, do nothing: then nothing happens.")

    private static let german = OptInTexts(
        address: "Ihre E-Mail-Adresse",
        hint: "Wir senden Ihnen einen Link zur Bestätigung; vorher geschieht nichts.", ask: "Weiter",
        invalid: "Das ist keine E-Mail-Adresse. Bitte sehen Sie noch einmal nach.",
        askedTitle: "Bitte sehen Sie in Ihr Postfach",
        asked:
            "Wir haben Ihnen einen Link gesendet. Er gilt zwei Tage, und es geschieht nichts, bevor Sie dort bestätigen. Kommt keine E-Mail, dann prüfen Sie die Adresse, oder warten Sie einen Tag.",
        tooMany:
            "Aus Ihrem Netz kommt im Moment zu viel. Bitte versuchen Sie es in einer Stunde noch einmal.",
        confirm: "Ja, ich stimme zu", confirmedTitle: "Vielen Dank",
        confirmed:
            "Es ist bestätigt. Sie können es sich jederzeit anders überlegen, mit dem Link in jeder E-Mail.",
        mailConfirm: "Bestätigen Sie hier, innerhalb von zwei Tagen:",
        mailIgnore: "Waren nicht Sie es, dann tun Sie nichts: Dann geschieht auch nichts.")

    private static let french = OptInTexts(
        address: "Votre adresse e-mail",
        hint: "Nous vous envoyons un lien pour la confirmer ; rien ne se passe avant.", ask: "Continuer",
        invalid: "Ce n’est pas une adresse e-mail. Veuillez la vérifier.",
        askedTitle: "Consultez votre messagerie",
        asked:
            "Nous vous avons envoyé un lien. Il est valable deux jours, et rien ne se passe avant que vous n’y confirmiez. Si aucun message n’arrive, vérifiez l’adresse, ou attendez un jour.",
        tooMany: "Trop de demandes viennent de votre réseau. Veuillez réessayer dans une heure.",
        confirm: "Oui, je suis d’accord", confirmedTitle: "Merci",
        confirmed:
            "C’est confirmé. Vous pouvez changer d’avis à tout moment, par le lien de chaque message.",
        mailConfirm: "Confirmez ici, dans les deux jours :",
        mailIgnore: "Si ce n’est pas vous qui l’avez demandé, ne faites rien : rien ne se passera.")

    private static let spanish = OptInTexts(
        address: "Su dirección de correo electrónico",
        hint: "Le enviamos un enlace para confirmarla; antes no pasa nada.", ask: "Continuar",
        invalid: "Esto no es una dirección de correo electrónico. Compruébela, por favor.",
        askedTitle: "Mire su correo",
        asked:
            "Le hemos enviado un enlace. Vale dos días, y no pasa nada hasta que confirme allí. Si no llega ningún mensaje, compruebe la dirección, o espere un día.",
        tooMany: "Llega demasiado desde su red en este momento. Inténtelo de nuevo en una hora.",
        confirm: "Sí, estoy de acuerdo", confirmedTitle: "Gracias",
        confirmed:
            "Está confirmado. Puede cambiar de opinión en cualquier momento, con el enlace de cada mensaje.",
        mailConfirm: "Confirme aquí, en un plazo de dos días:",
        mailIgnore: "Si no lo ha pedido usted, no haga nada: entonces no pasará nada.")
}
