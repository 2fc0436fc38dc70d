import ConsentDomain

extension PageTexts {
    static let english = PageTexts(
        name: "English", languages: "Language",
        months: [
            "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
            "November", "December",
        ],
        date: { "\($0) \($1) \($2)" },
        title: "Your preferences",
        introduction:
            "Here you decide what we may use your data for, and how we may reach you. Nothing changes before you save.",
        purposes: "What we may use your data for",
        purposesHint: "Tick what you allow. You can change your mind at any time.",
        noPurposes: "There is nothing here that needs your consent.",
        agreedOn: { "You agreed on \($0)." },
        until: { "This lasts until \($0)." },
        expiredOn: { "You agreed once; that ended on \($0)." },
        withdrawnOn: { "You said no on \($0)." },
        neverAsked: "You have not said anything yet, so we don’t.",
        legitimateInterest: "We do this in our legitimate interest, unless you untick it.",
        sharedWith: { "The data goes to: \($0)." },
        always: "What always goes with your orders or your account",
        alwaysHint: "We need this to keep our side of the contract, so there is nothing to choose.",
        channels: "How we may reach you",
        channelsHint: "This is about everything but messages that go with an order or your account.",
        channelNames: [
            "email": "E-mail", "sms": "Text message", "push": "Notifications of the app",
            "whatsapp": "WhatsApp", "phone": "Telephone", "post": "Post", "web": "Our web site",
        ],
        frequency: "How often",
        frequencyHint:
            "More than this you don’t get; messages that go with an order or your account still come.",
        asItComes: "As it comes",
        frequencies: {
            switch $0 {
            case .daily: "At most one message a day"
            case .weekly: "At most one message a week"
            case .monthly: "At most one message a month"
            }
        },
        save: "Save",
        unsubscribe: "Unsubscribe from everything",
        unsubscribeHint:
            "Takes back everything that you allowed above, at once. Messages that go with an order or your account still come.",
        unsubscribeButton: "Unsubscribe from everything",
        data: "Get my data",
        dataHint:
            "Ask for a copy of everything that we know of you. We send it to you; for your safety it is not shown on this page.",
        dataButton: "Ask for my data",
        erasure: "Erase me",
        erasureHint:
            "Ask us to erase everything that we know of you. You are asked once more before it begins.",
        erasureButton: "Erase me …",
        eraseTitle: "Erase everything we know of you?",
        eraseWarning:
            "We erase everything that we know of you, in all of our systems. It can’t be undone. What the law makes us keep, such as invoices, is kept elsewhere and for that alone.",
        eraseUnderstood: "I understand that this can’t be undone.",
        eraseConfirm: "Erase me now",
        eraseMissing:
            "Tick the box to say that you understand that this can’t be undone. Nothing has happened yet.",
        back: "Back, without erasing anything",
        requests: "Your requests",
        request: {
            switch $0 {
            case .access: "A copy of your data"
            case .portability: "Your data in a form for machines"
            case .know: "What we know of you"
            case .rectification: "Putting something right"
            case .erasure, .delete: "Erasing your data"
            case .restriction: "Keeping your data without using it"
            case .objection: "Objecting to advertising"
            case .optOut: "Not selling or sharing your data"
            }
        },
        state: {
            switch $0 {
            case .received: "received"
            case .verifying: "waiting until we know that it is you"
            case .inProgress: "in progress"
            case .completed: "done"
            case .refused: "not done"
            case .cancelled: "cancelled"
            }
        },
        requestLine: { "Received on \($0); you get an answer by \($1) at the latest." },
        reference: "Reference",
        saved: "Your preferences are saved. They are in force now.",
        unsubscribed: "You are unsubscribed from everything. That is in force now.",
        dataFiled:
            "We have your request. We now gather what all of our systems know of you, and send it to you at the address that we know of you. It stands under “Your requests” on this page.",
        erasureFiled:
            "We have your request, and erase everything that we know of you. This page and its links stop working when it is done.",
        beingErased:
            "You have asked us to erase everything that we know of you, and that is going on. There is nothing left to choose here.",
        outdated:
            "Nothing was changed: this page was too old, or something has changed since it was opened. Here is how it stands now; please choose again.",
        refusedTitle: "This link leads nowhere",
        refused:
            "It has expired, or it is not whole. Take the link of our latest message to you, or ask us for a new one.",
        mistakeTitle: "This could not be read",
        mistake: "Nothing was changed. Go back to the page and try again.",
        laterTitle: "Not possible for the moment",
        later: "Nothing was changed. Please try again in a minute.")
}
