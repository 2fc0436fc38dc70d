import ConsentDomain
import HTTPTypes
import Models
import Postgres
import ProfileStore
import ServiceKit

/// `/v1/profiles/{id}/consents/{entry}/receipt`: what somebody is given to show what they agreed to.
struct ConsentReceiptRoutes: Sendable {
    let pool: PostgresPool
    let profiles: ProfileStore
    let controller: ConsentReceipt.Controller

    func add(to router: ServiceRouter) {
        router.get("/v1/profiles/{id}/consents/{entry}/receipt", scope: .consentRead, touches: .people) {
            request in
            try await receipt(request)
        }
    }

    private func receipt(_ request: ServiceRequest) async throws -> ServiceResponse {
        let id = try request.pathID("id", as: ProfileID.self)
        let entry = try request.pathID("entry", as: LedgerEntryID.self)
        guard let person = try await profiles.person(id, in: pool), person.erasedAt == nil else {
            throw SubjectResolver.unknown
        }
        guard let found = try await find(entry, of: person), let place = try await place(of: found) else {
            throw Problem.notFound(
                "the person has no such entry in the ledger; GET /v1/profiles/{id}/consents lists them",
                type: "unknown-ledger-entry")
        }
        return .json(
            ConsentReceipt(
                entry: found, purpose: try await PurposeStore.get(found.purpose, in: pool)?.purpose,
                controller: controller, shard: Shard(found.profileID), position: place.position,
                hash: place.hash
            ).json)
    }

    /// A person has dozens of entries, of which this is one.
    private func find(_ entry: LedgerEntryID, of person: Person) async throws -> LedgerEntry? {
        var before: LedgerEntryID?
        while true {
            let page = try await LedgerStore.entries(
                of: person.memberIDs, before: before, limit: Self.pageSize, vault: profiles.vault, in: pool)
            if let found = page.first(where: { $0.id == entry }) { return found }
            guard page.count == Self.pageSize, let last = page.last else { return nil }
            before = last.id
        }
    }

    private static let pageSize = 1_000

    private func place(of entry: LedgerEntry) async throws -> (position: Int64, hash: [UInt8])? {
        try await pool.query(
            """
            SELECT position, hash FROM ledger_entry
            WHERE shard = \(Shard(entry.profileID)) AND entry_id = \(entry.id)
            """
        ).first.map { (try $0.get("position"), try $0.get("hash")) }
    }
}
