import ConsentDomain

extension PageTexts {
    static let german = PageTexts(
        name: "Deutsch", languages: "Sprache",
        months: [
            "Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober",
            "November", "Dezember",
        ],
        date: { "\($0). \($1) \($2)" },
        title: "Ihre Einstellungen",
        introduction:
            "Hier entscheiden Sie, wofür wir Ihre Daten verwenden und wie wir Sie erreichen dürfen. Es ändert sich nichts, bevor Sie speichern.",
        purposes: "Wofür wir Ihre Daten verwenden dürfen",
        purposesHint: "Kreuzen Sie an, was Sie erlauben. Sie können es jederzeit ändern.",
        noPurposes: "Hier gibt es nichts, was Ihre Einwilligung braucht.",
        agreedOn: { "Sie haben am \($0) zugestimmt." },
        until: { "Das gilt bis zum \($0)." },
        expiredOn: { "Sie hatten zugestimmt; das galt bis zum \($0)." },
        withdrawnOn: { "Sie haben am \($0) abgelehnt." },
        neverAsked: "Sie haben sich dazu noch nicht geäußert, daher tun wir es nicht.",
        legitimateInterest: "Das tun wir aus berechtigtem Interesse, solange Sie das Kreuz nicht entfernen.",
        sharedWith: { "Die Daten gehen an: \($0)." },
        always: "Was immer zu Ihren Bestellungen oder Ihrem Konto gehört",
        alwaysHint: "Das brauchen wir, um den Vertrag mit Ihnen zu erfüllen; hier gibt es nichts zu wählen.",
        channels: "Wie wir Sie erreichen dürfen",
        channelsHint: "Das gilt für alles außer Nachrichten zu einer Bestellung oder Ihrem Konto.",
        channelNames: [
            "email": "E-Mail", "sms": "SMS", "push": "Mitteilungen der App", "whatsapp": "WhatsApp",
            "phone": "Telefon", "post": "Briefpost", "web": "Unsere Website",
        ],
        frequency: "Wie oft",
        frequencyHint:
            "Mehr als das bekommen Sie nicht; Nachrichten zu einer Bestellung oder Ihrem Konto kommen weiterhin.",
        asItComes: "Wie es kommt",
        frequencies: {
            switch $0 {
            case .daily: "Höchstens eine Nachricht am Tag"
            case .weekly: "Höchstens eine Nachricht in der Woche"
            case .monthly: "Höchstens eine Nachricht im Monat"
            }
        },
        save: "Speichern",
        unsubscribe: "Von allem abmelden",
        unsubscribeHint:
            "Nimmt sofort alles zurück, was Sie oben erlaubt haben. Nachrichten zu einer Bestellung oder Ihrem Konto kommen weiterhin.",
        unsubscribeButton: "Von allem abmelden",
        data: "Meine Daten erhalten",
        dataHint:
            "Fordern Sie eine Kopie von allem an, was wir über Sie wissen. Wir senden sie Ihnen zu; zu Ihrer Sicherheit wird sie nicht auf dieser Seite gezeigt.",
        dataButton: "Meine Daten anfordern",
        erasure: "Mich löschen",
        erasureHint:
            "Verlangen Sie, dass wir alles löschen, was wir über Sie wissen. Sie werden noch einmal gefragt, bevor es beginnt.",
        erasureButton: "Mich löschen …",
        eraseTitle: "Alles löschen, was wir über Sie wissen?",
        eraseWarning:
            "Wir löschen alles, was wir über Sie wissen, in allen unseren Systemen. Das lässt sich nicht rückgängig machen. Was wir nach dem Gesetz aufbewahren müssen, etwa Rechnungen, wird an anderer Stelle und nur dafür aufbewahrt.",
        eraseUnderstood: "Mir ist klar, dass sich das nicht rückgängig machen lässt.",
        eraseConfirm: "Mich jetzt löschen",
        eraseMissing:
            "Kreuzen Sie an, dass Ihnen klar ist, dass sich das nicht rückgängig machen lässt. Es ist noch nichts geschehen.",
        back: "Zurück, ohne etwas zu löschen",
        requests: "Ihre Anträge",
        request: {
            switch $0 {
            case .access: "Eine Kopie Ihrer Daten"
            case .portability: "Ihre Daten in maschinenlesbarer Form"
            case .know: "Was wir über Sie wissen"
            case .rectification: "Eine Berichtigung"
            case .erasure, .delete: "Die Löschung Ihrer Daten"
            case .restriction: "Ihre Daten aufbewahren, ohne sie zu verwenden"
            case .objection: "Widerspruch gegen Werbung"
            case .optOut: "Ihre Daten nicht verkaufen oder weitergeben"
            }
        },
        state: {
            switch $0 {
            case .received: "eingegangen"
            case .verifying: "wartet, bis wir wissen, dass Sie es sind"
            case .inProgress: "in Arbeit"
            case .completed: "erledigt"
            case .refused: "nicht ausgeführt"
            case .cancelled: "zurückgezogen"
            }
        },
        requestLine: { "Eingegangen am \($0); Sie erhalten spätestens am \($1) eine Antwort." },
        reference: "Zeichen",
        saved: "Ihre Einstellungen sind gespeichert und gelten ab sofort.",
        unsubscribed: "Sie sind von allem abgemeldet. Das gilt ab sofort.",
        dataFiled:
            "Wir haben Ihren Antrag. Wir stellen jetzt zusammen, was alle unsere Systeme über Sie wissen, und senden es an die Adresse, die wir von Ihnen kennen. Er steht auf dieser Seite unter „Ihre Anträge“.",
        erasureFiled:
            "Wir haben Ihren Antrag und löschen alles, was wir über Sie wissen. Wenn das getan ist, führen diese Seite und ihre Links nirgends mehr hin.",
        beingErased:
            "Sie haben verlangt, dass wir alles löschen, was wir über Sie wissen, und das geschieht gerade. Hier gibt es nichts mehr zu wählen.",
        outdated:
            "Es wurde nichts geändert: Diese Seite war zu alt, oder es hat sich etwas geändert, seit sie geöffnet wurde. So steht es jetzt; bitte wählen Sie noch einmal.",
        refusedTitle: "Dieser Link führt nirgends hin",
        refused:
            "Er ist abgelaufen oder nicht vollständig. Nehmen Sie den Link aus unserer neuesten Nachricht an Sie, oder bitten Sie uns um einen neuen.",
        mistakeTitle: "Das war nicht zu lesen",
        mistake: "Es wurde nichts geändert. Gehen Sie auf die Seite zurück und versuchen Sie es noch einmal.",
        laterTitle: "Im Moment nicht möglich",
        later: "Es wurde nichts geändert. Bitte versuchen Sie es in einer Minute noch einmal.")
}
