import ConsentDomain

extension PageTexts {
    static let spanish = PageTexts(
        name: "Español", languages: "Idioma",
        months: [
            "enero", "febrero", "marzo", "abril", "mayo", "junio", "julio", "agosto", "septiembre", "octubre",
            "noviembre", "diciembre",
        ],
        date: { "\($0) de \($1) de \($2)" },
        title: "Sus preferencias",
        introduction:
            "Aquí decide para qué podemos usar sus datos y cómo podemos comunicarnos con usted. Nada cambia hasta que guarde.",
        purposes: "Para qué podemos usar sus datos",
        purposesHint: "Marque lo que permite. Puede cambiar de opinión en cualquier momento.",
        noPurposes: "Aquí no hay nada que necesite su consentimiento.",
        agreedOn: { "Dio su consentimiento el \($0)." },
        until: { "Vale hasta el \($0)." },
        expiredOn: { "Había dado su consentimiento; terminó el \($0)." },
        withdrawnOn: { "Dijo que no el \($0)." },
        neverAsked: "Todavía no ha dicho nada al respecto, así que no lo hacemos.",
        legitimateInterest: "Lo hacemos por nuestro interés legítimo, mientras no quite la marca.",
        sharedWith: { "Los datos se comunican a: \($0)." },
        always: "Lo que siempre acompaña a sus pedidos o a su cuenta",
        alwaysHint: "Lo necesitamos para cumplir el contrato con usted; no hay nada que elegir.",
        channels: "Cómo podemos comunicarnos con usted",
        channelsHint: "Se refiere a todo, salvo los mensajes sobre un pedido o su cuenta.",
        channelNames: [
            "email": "Correo electrónico", "sms": "SMS", "push": "Notificaciones de la aplicación",
            "whatsapp": "WhatsApp", "phone": "Teléfono", "post": "Correo postal", "web": "Nuestro sitio web",
        ],
        frequency: "Con qué frecuencia",
        frequencyHint:
            "No recibirá más que esto; los mensajes sobre un pedido o su cuenta siguen llegando.",
        asItComes: "Sin límite",
        frequencies: {
            switch $0 {
            case .daily: "Un mensaje al día como máximo"
            case .weekly: "Un mensaje a la semana como máximo"
            case .monthly: "Un mensaje al mes como máximo"
            }
        },
        save: "Guardar",
        unsubscribe: "Darse de baja de todo",
        unsubscribeHint:
            "Retira de inmediato todo lo que permitió arriba. Los mensajes sobre un pedido o su cuenta siguen llegando.",
        unsubscribeButton: "Darse de baja de todo",
        data: "Obtener mis datos",
        dataHint:
            "Pida una copia de todo lo que sabemos de usted. Se la enviamos; por su seguridad no se muestra en esta página.",
        dataButton: "Pedir mis datos",
        erasure: "Borrar mis datos",
        erasureHint:
            "Pídanos que borremos todo lo que sabemos de usted. Se le preguntará una vez más antes de empezar.",
        erasureButton: "Borrar mis datos …",
        eraseTitle: "¿Borrar todo lo que sabemos de usted?",
        eraseWarning:
            "Borramos todo lo que sabemos de usted, en todos nuestros sistemas. No se puede deshacer. Lo que la ley nos obliga a conservar, como las facturas, se guarda en otro lugar y solo para eso.",
        eraseUnderstood: "Entiendo que no se puede deshacer.",
        eraseConfirm: "Borrar ahora",
        eraseMissing:
            "Marque la casilla para decir que entiende que no se puede deshacer. Todavía no ha pasado nada.",
        back: "Volver sin borrar nada",
        requests: "Sus solicitudes",
        request: {
            switch $0 {
            case .access: "Una copia de sus datos"
            case .portability: "Sus datos en un formato para máquinas"
            case .know: "Lo que sabemos de usted"
            case .rectification: "Una rectificación"
            case .erasure, .delete: "El borrado de sus datos"
            case .restriction: "Conservar sus datos sin usarlos"
            case .objection: "Oposición a la publicidad"
            case .optOut: "No vender ni compartir sus datos"
            }
        },
        state: {
            switch $0 {
            case .received: "recibida"
            case .verifying: "en espera, hasta que sepamos que es usted"
            case .inProgress: "en curso"
            case .completed: "terminada"
            case .refused: "no realizada"
            case .cancelled: "cancelada"
            }
        },
        requestLine: { "Recibida el \($0); tendrá una respuesta el \($1) a más tardar." },
        reference: "Referencia",
        saved: "Sus preferencias están guardadas y valen desde ahora.",
        unsubscribed: "Se ha dado de baja de todo. Vale desde ahora.",
        dataFiled:
            "Tenemos su solicitud. Reunimos lo que todos nuestros sistemas saben de usted y se lo enviamos a la dirección que conocemos. Figura en «Sus solicitudes» en esta página.",
        erasureFiled:
            "Tenemos su solicitud y borramos todo lo que sabemos de usted. Cuando esté hecho, esta página y sus enlaces ya no llevarán a ninguna parte.",
        beingErased:
            "Nos ha pedido que borremos todo lo que sabemos de usted, y está en curso. Aquí ya no hay nada que elegir.",
        outdated:
            "No se ha cambiado nada: esta página era demasiado antigua, o algo ha cambiado desde que se abrió. Así está ahora; elija de nuevo.",
        refusedTitle: "Este enlace no lleva a ninguna parte",
        refused:
            "Ha caducado o no está completo. Use el enlace de nuestro último mensaje, o pídanos uno nuevo.",
        mistakeTitle: "No se ha podido leer",
        mistake: "No se ha cambiado nada. Vuelva a la página e inténtelo de nuevo.",
        laterTitle: "No es posible por el momento",
        later: "No se ha cambiado nada. Inténtelo de nuevo en un minuto.")
}
