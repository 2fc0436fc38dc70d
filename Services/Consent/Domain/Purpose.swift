import Models

/// What personal data may be used for, and on which legal ground.
package struct Purpose: Hashable, Sendable {
    /// Chosen by the company: `marketing`.
    package var id: String
    package var name: String
    package var legalBasis: LegalBasis
    /// The version of the text that people are shown now; ledger entries keep the one they saw.
    package var textVersion: String

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

/// Whether a use is permitted, and if not, why.
package enum Permission: Hashable, Sendable {
    case permitted
    case denied(reason: String)

    package var isPermitted: Bool { self == .permitted }

    package var reason: String? {
        switch self {
        case .permitted: nil
        case .denied(let reason): reason
        }
    }
}

/// Whether a purpose permits a use, given the person's standing decision on it. What is unknown is denied.
package func permits(_ legalBasis: LegalBasis?, _ decision: ConsentDecision?) -> Permission {
    switch (legalBasis, decision?.state) {
    case (nil, _): .denied(reason: "purpose-unknown")
    case (.contract, _): .permitted
    case (.consent, .granted): .permitted
    case (.consent, nil): .denied(reason: "consent-missing")
    case (.legitimateInterest, .granted), (.legitimateInterest, nil): .permitted
    case (.consent, .withdrawn), (.legitimateInterest, .withdrawn): .denied(reason: "consent-withdrawn")
    }
}
