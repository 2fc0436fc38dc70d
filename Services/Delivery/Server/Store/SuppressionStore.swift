import DeliveryDomain
import Foundation
import Models
import Postgres
import ProfileStore

/// Where an address is on the suppression list.
struct AddressKey: Hashable, Sendable {
    var shard: Shard
    var hash: Data

    init(shard: Shard, hash: Data) {
        (self.shard, self.hash) = (shard, hash)
    }

    /// The same keyed hash that the profile store looks addresses up by.
    init?(_ address: String, key: IdentifierKey) {
        guard let identifier = Identifier(.email, address) else { return nil }
        self.init(hash: key.place(of: identifier).hash)
    }

    init(hash: Data) {
        self.init(shard: Shard.all[Int(hash.first ?? 0) % Shard.count], hash: hash)
    }

    /// 64 hexadecimal digits.
    var text: String {
        hash.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    init?(text: String) {
        guard text.utf8.count == 64 else { return nil }
        var bytes = Data()
        var rest = text[...]
        while !rest.isEmpty {
            guard let byte = UInt8(rest.prefix(2), radix: 16), rest.prefix(2).first != "+" else { return nil }
            bytes.append(byte)
            rest = rest.dropFirst(2)
        }
        self.init(hash: bytes)
    }
}

/// An entry of the suppression list.
struct StoredSuppression: Sendable {
    var key: AddressKey
    var suppression: Suppression

    init(_ row: PostgresRow) throws {
        key = AddressKey(shard: try row.get("shard"), hash: try row.get("address_hash"))
        let purpose: String = try row.get("purpose")
        suppression = Suppression(
            purpose: purpose.isEmpty ? nil : purpose,
            reason: Suppression.Reason(rawValue: try row.get("reason", as: String.self)) ?? .manual,
            at: try row.get("created_at"))
    }

    /// The address's hash, and the purpose after a dot unless it is for all.
    var id: String { key.text + (suppression.purpose.map { "." + $0 } ?? "") }

    var json: JSON {
        [
            "id": .string(id), "addressHash": .string(key.text),
            "purpose": suppression.purpose.map(JSON.string) ?? .null,
            "reason": .string(suppression.reason.rawValue), "createdAt": .string(suppression.at.rfc3339),
        ]
    }
}

struct SuppressionStore: Sendable {
    private static let columns: SQL = "s.shard, s.address_hash, s.purpose, s.reason, s.created_at"

    /// What there is against the addresses.
    func find(_ keys: [AddressKey], in session: some PostgresSession) async throws -> [StoredSuppression] {
        guard !keys.isEmpty else { return [] }
        return try await session.query(
            """
            SELECT \(Self.columns)
            FROM unnest(\(keys.map(\.shard))::smallint[], \(keys.map(\.hash))::bytea[]) AS w (shard, hash)
            JOIN delivery.suppression s ON s.shard = w.shard AND s.address_hash = w.hash
            ORDER BY s.purpose
            """
        ).map(StoredSuppression.init)
    }

    /// Adds entries; one that is there stays as it was first, but that the latest time counts at which somebody
    /// unsubscribed: what they have asked for before it ends with it.
    func add(
        _ all: [(key: AddressKey, suppression: Suppression, messageID: MessageID?)],
        in session: some PostgresSession
    ) async throws {
        guard !all.isEmpty else { return }
        try await session.execute(
            """
            INSERT INTO delivery.suppression (shard, address_hash, purpose, reason, message_id, created_at)
            SELECT DISTINCT ON (shard, hash, purpose) * FROM unnest(
                \(all.map(\.key.shard))::smallint[], \(all.map(\.key.hash))::bytea[],
                \(all.map { $0.suppression.purpose ?? "" })::text[], \(all.map(\.suppression.reason.rawValue))::text[],
                \(all.map(\.messageID))::uuid[], \(all.map(\.suppression.at))::timestamptz[])
                AS s (shard, hash, purpose, reason, message_id, at)
            ON CONFLICT (shard, address_hash, purpose) DO UPDATE SET created_at = excluded.created_at
            WHERE suppression.reason = 'unsubscribed' AND excluded.reason = 'unsubscribed'
              AND suppression.created_at < excluded.created_at
            """)
    }

    /// Takes an entry away; false when there was none.
    func remove(_ key: AddressKey, purpose: String?, in session: some PostgresSession) async throws -> Bool {
        try await session.execute(
            """
            DELETE FROM delivery.suppression
            WHERE shard = \(key.shard) AND address_hash = \(key.hash) AND purpose = \(purpose ?? "")
            """) > 0
    }

    /// A page, in the order of the ids.
    func page(
        after: (hash: Data, purpose: String)?, limit: Int, in session: some PostgresSession
    ) async throws -> [StoredSuppression] {
        let from: SQL =
            after.map { "WHERE (s.address_hash, s.purpose) > (\($0.hash)::bytea, \($0.purpose))" } ?? ""
        return try await session.query(
            """
            SELECT \(Self.columns) FROM delivery.suppression s \(from)
            ORDER BY s.address_hash, s.purpose LIMIT \(limit)
            """
        ).map(StoredSuppression.init)
    }
}
