package import Models

/// What a person asks for.
package enum PrivacyRequestKind: String, Sendable, Codable, CaseIterable {
    /// What is known of them (GDPR article 15).
    case access
    /// What they have provided, for a machine to read (article 20).
    case portability
    /// What is known of them (CCPA §1798.110).
    case know
    /// That something wrong is put right (article 16).
    case rectification
    /// That it is erased (article 17).
    case erasure
    /// That it is erased (CCPA §1798.105).
    case delete
    /// That it is kept and not used (article 18).
    case restriction
    /// That they are no longer marketed to (article 21, paragraphs 2 and 3: no reason may stand against it).
    case objection
    /// That what is known of them is not sold or shared (CCPA §1798.120).
    case optOut

    /// What every service is asked to do for it; nil where consent sees to it alone.
    package var work: PrivacyRequest.Kind? {
        switch self {
        case .access, .portability, .know: .access
        case .erasure, .delete: .erasure
        case .rectification, .restriction, .objection, .optOut: nil
        }
    }

    /// Whether somebody is shown what is known: to the wrong person that would be a breach.
    package var discloses: Bool { work == .access }

    /// The law that it is usually asked under.
    package var regime: PrivacyRegime {
        switch self {
        case .know, .delete, .optOut: .ccpa
        case .access, .portability, .rectification, .erasure, .restriction, .objection: .gdpr
        }
    }

    /// Whether it is over as soon as it is begun, in the same transaction.
    package var isImmediate: Bool {
        switch self {
        case .restriction, .objection, .optOut: true
        case .access, .portability, .know, .rectification, .erasure, .delete: false
        }
    }

    /// Whether it may still end without being done once the services are at it: what is erased can't be brought back.
    package var canBeStopped: Bool { work != .erasure }
}
