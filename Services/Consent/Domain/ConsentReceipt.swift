package import Models

/// What somebody is given to show what they agreed to, or withdrew: a receipt of one entry of the ledger, in the structure and
/// under the names of ISO/IEC TS 27560:2023. What nobody has said here is left out rather than made up.
package struct ConsentReceipt: Hashable, Sendable {
    /// Who is responsible; as it was set, or unknown.
    package struct Controller: Hashable, Sendable {
        package let name: String?
        package let contact: String?

        package init(name: String?, contact: String?) {
            self.name = name
            self.contact = contact
        }
    }

    package let entry: LedgerEntry
    /// Nil where the purpose was never defined.
    package let purpose: Purpose?
    package let controller: Controller
    /// The entry's own hash in the chain of its shard, and where it stands there.
    package let shard: Shard
    package let position: Int64
    package let hash: [UInt8]

    package init(
        entry: LedgerEntry, purpose: Purpose?, controller: Controller, shard: Shard, position: Int64,
        hash: [UInt8]
    ) {
        self.entry = entry
        self.purpose = purpose
        self.controller = controller
        self.shard = shard
        self.position = position
        self.hash = hash
    }

    package static let schemaVersion = "ISO/IEC TS 27560:2023"

    package var json: JSON {
        [
            "schema_version": .string(Self.schemaVersion),
            "receipt_id": .string("receipt-\(entry.id)"), "record_id": .string(entry.id.description),
            "pii_principal_id": .string(entry.profileID.description),
            "pii_processing": .array([processing]), "events": .array([event]),
            "party_identification": .array([party]),
            // Ours: where the ledger proves it. The signed ends of the chains prove the ledger.
            "integrity": [
                "ledger": "martlet", "shard": .integer(Int64(shard.number)), "position": .integer(position),
                "sha256": .string(hexadecimal(hash)),
            ],
        ]
    }

    private var processing: JSON {
        var purposes: [String: JSON] = ["purpose": .string(purpose?.name ?? entry.purpose)]
        purposes["purpose_id"] = .string(entry.purpose)
        purposes["lawful_basis"] = purpose.map { .string(Self.lawfulBasis($0.legalBasis)) }
        purposes["collection_method"] = .string(entry.source)
        purposes["pii_controllers"] = [.string(Self.partyID)]
        purposes["withdrawal_method"] = "as easily as it was given; in any message, or with the controller"
        var processing: [String: JSON] = ["purposes": .array([.object(purposes)])]
        processing["privacy_notice"] = entry.textVersion.map { ["version": .string($0)] }
        return .object(processing)
    }

    private var event: JSON {
        [
            "event_time": .string(entry.occurredAt.rfc3339),
            "event_recorded_time": .string(entry.recordedAt.rfc3339),
            "event_type": .string(Self.eventType(entry.action)),
            "event_state": .string(entry.action.state.rawValue),
            "entity_id": .string(entry.profileID.description),
        ]
    }

    private static let partyID = "controller"

    private var party: JSON {
        var party: [String: JSON] = ["party_id": .string(Self.partyID), "party_role": "pii-controller"]
        party["party_name"] = controller.name.map { .string($0) }
        party["party_contact"] = controller.contact.map { .string($0) }
        return .object(party)
    }

    private static func eventType(_ action: ConsentAction) -> String {
        action.state == .granted ? "consent_given" : "consent_withdrawn"
    }

    private static func lawfulBasis(_ basis: LegalBasis) -> String {
        switch basis {
        case .consent: "consent (GDPR article 6(1)(a))"
        case .contract: "contract (GDPR article 6(1)(b))"
        case .legitimateInterest: "legitimate interests (GDPR article 6(1)(f))"
        }
    }
}
