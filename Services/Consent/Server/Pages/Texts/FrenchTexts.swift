import ConsentDomain

extension PageTexts {
    static let french = PageTexts(
        name: "Français", languages: "Langue",
        months: [
            "janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre",
            "novembre", "décembre",
        ],
        date: { "\($0 == 1 ? "1er" : "\($0)") \($1) \($2)" },
        title: "Vos préférences",
        introduction:
            "Ici, vous décidez à quoi vos données peuvent nous servir et comment nous pouvons vous joindre. Rien ne change avant que vous n’enregistriez.",
        purposes: "À quoi vos données peuvent nous servir",
        purposesHint: "Cochez ce que vous autorisez. Vous pouvez changer d’avis à tout moment.",
        noPurposes: "Il n’y a rien ici qui demande votre consentement.",
        agreedOn: { "Vous avez donné votre accord le \($0)." },
        until: { "Il vaut jusqu’au \($0)." },
        expiredOn: { "Vous aviez donné votre accord ; il a pris fin le \($0)." },
        withdrawnOn: { "Vous avez refusé le \($0)." },
        neverAsked: "Vous n’avez encore rien dit à ce sujet ; nous ne le faisons donc pas.",
        legitimateInterest: "Nous le faisons dans notre intérêt légitime, tant que la case reste cochée.",
        sharedWith: { "Les données sont transmises à : \($0)." },
        always: "Ce qui va toujours avec vos commandes ou votre compte",
        alwaysHint: "Nous en avons besoin pour remplir notre contrat avec vous ; il n’y a rien à choisir.",
        channels: "Comment nous pouvons vous joindre",
        channelsHint: "Cela concerne tout, sauf les messages liés à une commande ou à votre compte.",
        channelNames: [
            "email": "E-mail", "sms": "SMS", "push": "Notifications de l’application",
            "whatsapp": "WhatsApp", "phone": "Téléphone", "post": "Courrier postal", "web": "Notre site web",
        ],
        frequency: "À quel rythme",
        frequencyHint:
            "Vous ne recevrez pas davantage ; les messages liés à une commande ou à votre compte continuent d’arriver.",
        asItComes: "Sans limite",
        frequencies: {
            switch $0 {
            case .daily: "Un message par jour au plus"
            case .weekly: "Un message par semaine au plus"
            case .monthly: "Un message par mois au plus"
            }
        },
        save: "Enregistrer",
        unsubscribe: "Se désabonner de tout",
        unsubscribeHint:
            "Retire immédiatement tout ce que vous avez autorisé plus haut. Les messages liés à une commande ou à votre compte continuent d’arriver.",
        unsubscribeButton: "Se désabonner de tout",
        data: "Obtenir mes données",
        dataHint:
            "Demandez une copie de tout ce que nous savons de vous. Nous vous l’envoyons ; pour votre sécurité, elle ne s’affiche pas sur cette page.",
        dataButton: "Demander mes données",
        erasure: "Effacer mes données",
        erasureHint:
            "Demandez-nous d’effacer tout ce que nous savons de vous. Une confirmation vous sera demandée avant de commencer.",
        erasureButton: "Effacer mes données …",
        eraseTitle: "Effacer tout ce que nous savons de vous ?",
        eraseWarning:
            "Nous effaçons tout ce que nous savons de vous, dans tous nos systèmes. C’est irréversible. Ce que la loi nous oblige à garder, comme les factures, est conservé ailleurs et pour cela seulement.",
        eraseUnderstood: "Je comprends que c’est irréversible.",
        eraseConfirm: "Effacer maintenant",
        eraseMissing:
            "Cochez la case pour dire que vous comprenez que c’est irréversible. Rien n’a encore été fait.",
        back: "Revenir sans rien effacer",
        requests: "Vos demandes",
        request: {
            switch $0 {
            case .access: "Une copie de vos données"
            case .portability: "Vos données sous une forme lisible par machine"
            case .know: "Ce que nous savons de vous"
            case .rectification: "Une rectification"
            case .erasure, .delete: "L’effacement de vos données"
            case .restriction: "Conserver vos données sans les utiliser"
            case .objection: "Opposition à la publicité"
            case .optOut: "Ne pas vendre ni partager vos données"
            }
        },
        state: {
            switch $0 {
            case .received: "reçue"
            case .verifying: "en attente, jusqu’à ce que nous sachions que c’est vous"
            case .inProgress: "en cours"
            case .completed: "terminée"
            case .refused: "non exécutée"
            case .cancelled: "annulée"
            }
        },
        requestLine: { "Reçue le \($0) ; vous aurez une réponse le \($1) au plus tard." },
        reference: "Référence",
        saved: "Vos préférences sont enregistrées et s’appliquent dès maintenant.",
        unsubscribed: "Vous ne recevrez plus rien de tout cela. Cela s’applique dès maintenant.",
        dataFiled:
            "Nous avons votre demande. Nous rassemblons ce que tous nos systèmes savent de vous et vous l’envoyons à l’adresse que nous connaissons. Elle figure sous « Vos demandes » sur cette page.",
        erasureFiled:
            "Nous avons votre demande et effaçons tout ce que nous savons de vous. Ensuite, cette page et ses liens ne mèneront plus nulle part.",
        beingErased:
            "Vous nous avez demandé d’effacer tout ce que nous savons de vous, et c’est en cours. Il n’y a plus rien à choisir ici.",
        outdated:
            "Rien n’a été changé : cette page était trop ancienne, ou quelque chose a changé depuis son ouverture. Voici l’état actuel ; veuillez choisir de nouveau.",
        refusedTitle: "Ce lien ne mène nulle part",
        refused:
            "Il a expiré, ou il n’est pas complet. Prenez le lien de notre dernier message, ou demandez-nous-en un nouveau.",
        mistakeTitle: "Impossible de lire cela",
        mistake: "Rien n’a été changé. Revenez à la page et réessayez.",
        laterTitle: "Pas possible pour le moment",
        later: "Rien n’a été changé. Veuillez réessayer dans une minute.")
}
