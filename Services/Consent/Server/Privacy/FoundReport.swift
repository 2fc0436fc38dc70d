import Crypto
import Foundation
import Models
import Postgres
import Sealing
import ServiceKit

/// What a service has found for somebody, as one document that is never in memory as a whole: in JSON without blanks and with
/// members in the order of their names, as it is hashed.
struct FoundReport: Sendable {
    let id: PrivacyRequestID
    let service: ServiceName
    /// What came in one piece.
    let result: JSON
    /// The parts of each list that came in parts.
    let lists: [String: [Int]]
    let vault: Vault

    typealias Take = (_ text: String) async throws -> Void

    func write(in session: some PostgresSession, _ take: Take) async throws {
        guard !lists.isEmpty else { return try await take(result.compact) }
        let members = result.object ?? [:]
        let names = Set(members.keys).union(lists.keys).sorted { $0.precedesInUTF8($1) }
        for (number, name) in names.enumerated() {
            try await take((number == 0 ? "{" : ",") + JSON.string(name).compact + ":")
            if lists[name] == nil {
                try await take((members[name] ?? .null).compact)
            } else {
                try await writeList(name, in: session, take)
            }
        }
        try await take("}")
    }

    /// A list with its brackets.
    func writeList(_ name: String, in session: some PostgresSession, _ take: Take) async throws {
        var isFirst = true
        try await take("[")
        for part in lists[name] ?? [] {
            let text = try await PrivacyPartStore.items(part, of: service, for: id, vault: vault, in: session)
            let items = text.dropFirst().dropLast()
            guard !items.isEmpty else { continue }
            try await take((isFirst ? "" : ",") + items)
            isFirst = false
        }
        try await take("]")
    }

    /// The items of a list, some at a time.
    func eachItem(
        of name: String, in session: some PostgresSession, _ take: ([JSON]) async throws -> Void
    ) async throws {
        for part in lists[name] ?? [] {
            let text = try await PrivacyPartStore.items(part, of: service, for: id, vault: vault, in: session)
            try await take(try JSONParser.parse(Array(text.utf8)[...]).array ?? [])
        }
    }

    func digest(in session: some PostgresSession) async throws -> [UInt8] {
        var hash = SHA256()
        try await write(in: session) { hash.update(data: Data($0.utf8)) }
        return Array(hash.finalize())
    }
}
