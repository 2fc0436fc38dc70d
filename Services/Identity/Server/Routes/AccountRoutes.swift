import IdentityDomain
import Models
import Postgres
import Sealing
import ServiceKit

/// Accounts that group calls tell of, and who belongs to them.
struct AccountRoutes {
    let pool: PostgresPool
    let vault: Vault

    func add(to router: ServiceRouter) {
        router.get("/v1/accounts/{groupId}", scope: .profilesRead, touches: .people) { request in
            let id = try request.path("groupId")
            let account = try await pool.transaction(isolation: .repeatableRead) {
                try await AccountStore.account(id, vault: vault, in: $0)
            }
            guard let account else { throw Self.unknown }
            return .json(account)
        }
        router.get("/v1/accounts/{groupId}/members", scope: .profilesRead, touches: .people) { request in
            let id = try request.path("groupId")
            let limit = try request.query("limit", in: 1...200, default: 50)
            let parts = try Cursor.decode(try request.query("cursor"), count: 1)
            let position = try parts.map { parts throws(Problem) in try ProfileID(cursor: parts[0]) }
            let members = try await AccountStore.members(
                of: id, after: position, limit: limit + 1, in: pool)
            if members.isEmpty, position == nil {
                let account = try await pool.transaction {
                    try await AccountStore.account(id, vault: vault, in: $0)
                }
                guard account != nil else { throw Self.unknown }
            }
            let shown = members.prefix(limit)
            return .page(
                shown.map { member in
                    [
                        "profileId": .string(member.id.description),
                        "firstSeen": .string(member.first.rfc3339), "lastSeen": .string(member.last.rfc3339),
                    ]
                },
                nextCursor: members.count > limit
                    ? shown.last.map { Cursor.encode([$0.id.description]) } : nil)
        }
    }

    private static var unknown: Problem { .notFound("there is no such account", type: "unknown-account") }
}
