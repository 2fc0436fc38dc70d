package import Models

/// What an event's context says of purposes: `consent.categoryPreferences`, `consent.globalPrivacyControl` (`Sec-GPC`),
/// `consent.tcString`, `consent.gppString`, and `consent.consentMode` as Google's tags have it. The policy says what a
/// purpose is called there.
package struct EventSignals: Sendable {
    /// Where something was said, from the strongest to the weakest reason to cite.
    package enum Kind: String, Sendable, CaseIterable {
        case globalPrivacyControl = "gpc"
        case preferences
        case tcf, gpp
        case consentMode = "consent-mode"

        /// The member of `context.consent` that has it.
        package var member: String {
            switch self {
            case .globalPrivacyControl: "globalPrivacyControl"
            case .preferences: "categoryPreferences"
            case .tcf: "tcString"
            case .gpp: "gppString"
            case .consentMode: "consentMode"
            }
        }
    }

    package struct Said: Hashable, Sendable {
        package let purpose: String
        package let action: ConsentAction
        package let kind: Kind

        package init(purpose: String, action: ConsentAction, kind: Kind) {
            (self.purpose, self.action, self.kind) = (purpose, action, kind)
        }
    }

    /// What was said of each purpose of the policy, in the order of their names. Where signals disagree, a no counts.
    package let said: [Said]
    /// Why strings that are there could not be read.
    package private(set) var mistakes: [Kind: SignalMistake] = [:]
    /// When something was chosen last, of the signals that say so.
    package private(set) var chosenAt: [Kind: Instant] = [:]

    package init(_ event: TrackingEvent, _ policy: ConsentPolicy) {
        guard let consent = event.context["consent"]?.object, !consent.isEmpty else {
            said = []
            return
        }
        let preferences = PreferenceReport.preferences(of: event)
        let isControlled = consent["globalPrivacyControl"]?.bool == true
        var mistakes: [Kind: SignalMistake] = [:]
        // Anybody may send strings; they are read where they mean something.
        let (asksTCF, asksGPP) = policy.purposes.values.reduce((false, false)) {
            ($0.0 || $1.signals.namesTCF, $0.1 || $1.signals.namesTCF || !$1.signals.gpp.isEmpty)
        }
        let gpp = Self.parsed(asksGPP ? consent["gppString"] : nil, .gpp, &mistakes) {
            text throws(SignalMistake) in
            try GPPString(text)
        }
        let ownTCF = Self.parsed(asksTCF ? consent["tcString"] : nil, .tcf, &mistakes) {
            text throws(SignalMistake) in
            try TCString(text)
        }
        let mode = consent["consentMode"]?.object
        var said: [Said] = []
        for (id, purpose) in policy.purposes.sorted(by: { $0.key < $1.key }) {
            let names = purpose.signals
            var words: [(Kind, Bool)] = []
            if isControlled, purpose.isSaleOrSharing { words.append((.globalPrivacyControl, false)) }
            if let word = preferences.last(where: { $0.purpose == id }) {
                words.append((.preferences, word.action == .grant))
            }
            if names.namesTCF {
                switch ownTCF {
                case .absent:
                    if case .read(let gpp) = gpp, let tcf = gpp.tcf {
                        words.append((.gpp, tcf.consents(to: names)))
                    }
                case .unreadable: words.append((.tcf, false))
                case .read(let string): words.append((.tcf, string.consents(to: names)))
                }
            }
            if case .unreadable = gpp, names.namesTCF || !names.gpp.isEmpty { words.append((.gpp, false)) }
            if case .read(let string) = gpp, let word = Self.word(of: string, purpose) {
                words.append((.gpp, word))
            }
            if let mode, !names.consentMode.isEmpty {
                let states = names.consentMode.compactMap { mode[$0.rawValue]?.string }
                if !states.isEmpty {
                    words.append(
                        (
                            .consentMode,
                            states.count == names.consentMode.count && states.allSatisfy { $0 == "granted" }
                        ))
                }
            }
            guard let cited = words.first(where: { !$0.1 }) ?? words.first else { continue }
            said.append(Said(purpose: id, action: cited.1 ? .grant : .withdraw, kind: cited.0))
        }
        self.said = said
        self.mistakes = mistakes
        if case .read(let string) = ownTCF { chosenAt[.tcf] = string.lastUpdated }
        if case .read(let string) = gpp { chosenAt[.gpp] = string.tcf?.lastUpdated }
    }

    /// Not to have opted out is no consent: it only takes an objection back.
    private static func word(of string: GPPString, _ purpose: Purpose) -> Bool? {
        let choices = purpose.signals.gpp.compactMap { string.choices[$0] }
        if choices.contains(.optedOut) { return false }
        let isAll = !choices.isEmpty && choices.count == purpose.signals.gpp.count
        return isAll && purpose.legalBasis != .consent ? true : nil
    }

    private enum Parsed<Value> {
        case absent, unreadable
        case read(Value)
    }

    private static func parsed<Value>(
        _ json: JSON?, _ kind: Kind, _ mistakes: inout [Kind: SignalMistake],
        _ parse: (String) throws(SignalMistake) -> Value
    ) -> Parsed<Value> {
        guard let json, !json.isNull else { return .absent }
        do throws(SignalMistake) {
            guard let text = json.string else { throw SignalMistake("it is no text") }
            return .read(try parse(text))
        } catch {
            mistakes[kind] = error
            return .unreadable
        }
    }
}

extension SignalNames {
    fileprivate var namesTCF: Bool {
        !tcfPurposes.isEmpty || !tcfSpecialFeatures.isEmpty || !tcfVendors.isEmpty
    }
}
