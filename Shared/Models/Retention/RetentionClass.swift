/// A kind of data that is kept for a time that the retention policy says. The ledger of consents is none: it is the proof of
/// what was said, names nobody once somebody is erased, and is never swept.
package enum RetentionClass: String, CaseIterable, Sendable, Hashable {
    /// Events as they came, in the raw log.
    case rawEvents
    /// What came and could not be taken in.
    case quarantine
    /// Imports that have ended, with their mistakes. Their files go a week after.
    case imports
    /// What is on timelines.
    case timelineEvents
    /// Journeys that somebody has left, what happened in them, and what they asked to be sent.
    case journeyHistory
    /// What people looked at, put in carts and ordered, as recommendations remember it.
    case recommendationHistory
    /// Messages that are settled, with their attempts and outcomes.
    case messages
    /// Privacy requests that have ended, with their receipts.
    case privacyRequests
    /// What was found for requests of access that have ended.
    case privacyExports
    /// Who has read and changed what: each service's audit log.
    case audit
    /// People of whom nothing permits to hold anything any more. The policy says of them more than a time: ``NoBasisRule``.
    case noBasis

    /// Those that a policy keeps for a time.
    package static let kept = allCases.filter { $0 != .noBasis }

    /// The shortest time that it may be kept. Sooner, something would go that others still need.
    package var floor: Duration {
        switch self {
        // Other services may be away for a while and read on from where they were.
        case .rawEvents, .quarantine, .imports, .timelineEvents: .days(7)
        // Who has just come has to be asked.
        case .noBasis: .days(7)
        case .journeyHistory, .recommendationHistory: .days(30)
        // How often somebody was written to is counted over a month, and outcomes come late.
        case .messages: .days(60)
        // CCPA regulations § 7101: records of requests are kept for at least 24 months.
        case .privacyRequests: .days(731)
        case .privacyExports: .days(1)
        // What somebody did is often asked a year later; the database itself lets go of nothing sooner.
        case .audit: .days(366)
        }
    }

    /// The longest time that a policy may say. What it says nothing of is kept until somebody is erased.
    package var ceiling: Duration {
        switch self {
        case .quarantine, .privacyExports: .days(366)
        default: .days(3660)
        }
    }
}
