/// What personal data may be used for, and on which legal ground.
package struct Purpose: Hashable, Sendable {
    /// Chosen by the company: `marketing`.
    package var id: String
    package var name: String
    package var legalBasis: LegalBasis
    /// The version of the text that people are shown now; ledger entries keep the one they saw.
    package var textVersion: String
    /// That text by language (BCP 47): `de`, `fr-CH`.
    package var texts: [String: String] = [:]
    /// Where it may be pursued; none: everywhere.
    package var jurisdictions: [Jurisdiction] = []
    /// By which channels it may be pursued; none: by any.
    package var channels: [String] = []
    /// Whether it is direct marketing, to which an objection is absolute (GDPR, article 21).
    package var isDirectMarketing = false
    /// Whether it sells or shares data, out of which Global Privacy Control opts people.
    package var isSaleOrSharing = false
    /// Whether it uses sensitive personal information for more than what was asked for, which people can limit (CCPA
    /// §1798.121).
    package var isSensitive = false
    /// Whom data goes to.
    package var recipient: String?
    /// How long a consent lasts; nil: until it is withdrawn.
    package var lasts: ConsentTerm?
    /// What in the signals of others it is called.
    package var signals = SignalNames()

    package init(id: String, name: String, legalBasis: LegalBasis, textVersion: String) {
        self.id = id
        self.name = name
        self.legalBasis = legalBasis
        self.textVersion = textVersion
    }

    /// Whether the text can name a purpose: lower-case letters, digits, `-` and `_`, a letter first.
    package static func isID(_ text: String) -> Bool {
        let bytes = text.utf8
        guard (1...64).contains(bytes.count), let first = bytes.first, (97...122).contains(first) else {
            return false
        }
        return bytes.allSatisfy { (97...122).contains($0) || (48...57).contains($0) || $0 == 45 || $0 == 95 }
    }

    /// Whether the text can name a source or a text version: 1 to 128 letters, digits and ` ._:/-`, so that no
    /// e-mail address finds its way into what is kept for ever.
    package static func isLabel(_ text: String) -> Bool {
        let bytes = text.utf8
        guard (1...128).contains(bytes.count) else { return false }
        return bytes.allSatisfy { byte in
            switch byte {
            case 97...122, 65...90, 48...57: true
            case 32, 45, 46, 47, 58, 95: true
            default: false
            }
        }
    }

    /// Whether the text can name a language: `de`, `fr-CH`, `zh-Hant-TW` (BCP 47, in outline).
    package static func isLanguage(_ text: String) -> Bool {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard text.utf8.count <= 35, let first = parts.first, (2...8).contains(first.utf8.count),
            first.utf8.allSatisfy({ (97...122).contains($0 | 32) })
        else { return false }
        return parts.dropFirst().allSatisfy { part in
            (1...8).contains(part.utf8.count)
                && part.utf8.allSatisfy { (97...122).contains($0 | 32) || (48...57).contains($0) }
        }
    }
}

/// The grounds of GDPR article 6 that a purpose can stand on here.
package enum LegalBasis: String, Sendable, Codable, CaseIterable {
    /// Only what was granted is permitted.
    case consent
    /// Needed to fulfil a contract with the person.
    case contract
    /// Permitted until the person objects.
    case legitimateInterest
}

/// What a purpose is called in the signals of others.
package struct SignalNames: Hashable, Sendable {
    /// Purposes of IAB's Transparency and Consent Framework, all of which must be consented to.
    package var tcfPurposes: [Int] = []
    /// Its special features, all of which must be opted into.
    package var tcfSpecialFeatures: [Int] = []
    /// Its vendors, all of which must be consented to.
    package var tcfVendors: [Int] = []
    /// Out of what a GPP string of the US opts, any of which is a refusal.
    package var gpp: [GPPOptOut] = []
    /// Google's consent types, all of which must be granted.
    package var consentMode: [ConsentModeType] = []

    package init() {}

    package var isEmpty: Bool { self == SignalNames() }
}

/// What people can opt out of by a US section of a GPP string.
package enum GPPOptOut: String, Sendable, CaseIterable {
    case sale, sharing, targetedAdvertising
}

/// The states of Google Consent Mode (v2).
package enum ConsentModeType: String, Sendable, CaseIterable {
    case adStorage = "ad_storage"
    case analyticsStorage = "analytics_storage"
    case adUserData = "ad_user_data"
    case adPersonalization = "ad_personalization"
}
