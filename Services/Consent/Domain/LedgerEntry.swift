package import Models

package enum LedgerEntryTag {}
/// One line of the consent ledger.
package typealias LedgerEntryID = TypedID<LedgerEntryTag>

/// What a person said about a purpose.
package enum ConsentAction: String, Sendable, Codable, CaseIterable {
    case grant
    /// A no to what was never granted, such as a banner that was declined.
    case deny
    case withdraw

    /// The state that follows from it.
    package var state: ConsentChange.State {
        switch self {
        case .grant: .granted
        case .deny, .withdraw: .withdrawn
        }
    }
}

/// A grant or a withdrawal as it was recorded; never changed afterwards.
package struct LedgerEntry: Hashable, Sendable {
    package let id: LedgerEntryID
    /// The profile that it arrived under, which may have been merged into another since.
    package let profileID: ProfileID
    package let purpose: String
    package let action: ConsentAction
    /// Where they said it: `preference-centre`, `checkout`.
    package let source: String
    /// The version of the text they saw.
    package let textVersion: String?
    /// The language they saw it in.
    package let locale: String?
    /// The version of the policy at that time; none in what was recorded before there were any.
    package let policyVersion: Int64?
    /// When they said it; never later than when it was recorded.
    package let occurredAt: Instant
    package let recordedAt: Instant
    /// What proves it: the event or the request.
    package let evidence: JSON

    package init(
        id: LedgerEntryID, profileID: ProfileID, purpose: String, action: ConsentAction, source: String,
        textVersion: String?, locale: String? = nil, policyVersion: Int64? = nil, occurredAt: Instant,
        recordedAt: Instant, evidence: JSON
    ) {
        self.id = id
        self.profileID = profileID
        self.purpose = purpose
        self.action = action
        self.source = source
        self.textVersion = textVersion
        self.locale = locale
        self.policyVersion = policyVersion
        self.occurredAt = min(occurredAt, recordedAt)
        self.recordedAt = recordedAt
        self.evidence = evidence
    }
}
