/// What happens to a privacy request, as it is told and as it stands in its history.
package enum PrivacyEvent: String, Sendable, CaseIterable {
    case received, verificationAsked, tokenIssued, verificationFailed, verified, begun, completed, refused,
        cancelled
    /// A service could not do its part; somebody has to look.
    case failed
    /// What failed is tried once more.
    case retried
    case extended, assigned, noted, lifted
    case weekBefore, dayBefore, overdue

    /// Whether it is time alone that has passed.
    package var isReminder: Bool {
        switch self {
        case .weekBefore, .dayBefore, .overdue: true
        default: false
        }
    }

    package init(_ reminder: PrivacyReminder) {
        switch reminder {
        case .weekBefore: self = .weekBefore
        case .dayBefore: self = .dayBefore
        case .overdue: self = .overdue
        }
    }
}
