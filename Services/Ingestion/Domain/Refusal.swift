/// Why one item is not accepted, with what the sender can do about it.
package struct Refusal: Error, Hashable, Sendable {
    /// The kinds are stable: senders and reports may count by them.
    package enum Reason: String, CaseIterable, Sendable {
        /// The item breaks the grammar of JSON, or is no object.
        case malformed
        /// Arrays and objects are nested too deep.
        case tooDeep = "too-deep"
        /// It holds `\u0000`, half a surrogate pair, bytes that aren't UTF-8, or a number beyond any Double.
        case unstorable
        case tooLarge = "too-large"
        /// A member that must be there is not.
        case missing
        /// A member is not what it must be.
        case invalid
        /// A time that no event of a person can have.
        case absurdTime = "absurd-time"
        /// It breaks the tracking plan of its source.
        case schema
        /// The consent policy doesn't permit to store it.
        case consent

        /// Whether what was sent is kept in quarantine, so that it can be taken in after a fix. What is too large to
        /// keep, or no call at all, is refused.
        package var isKept: Bool {
            switch self {
            case .tooDeep, .unstorable, .missing, .invalid, .absurdTime, .schema: true
            case .malformed, .tooLarge, .consent: false
            }
        }
    }

    package var reason: Reason
    /// One sentence for people. It names members, and never quotes their values.
    package var detail: String

    package init(_ reason: Reason, _ detail: String) {
        self.reason = reason
        self.detail = detail
    }
}

/// What became of one item.
package enum Verdict: Hashable, Sendable {
    case accepted
    /// The source has sent an item with this messageId before.
    case duplicate
    /// It can't be accepted as it is, and is kept until somebody mends what is wrong.
    case quarantined(Refusal)
    /// It is not kept.
    case refused(Refusal)
}
