package import Logging
package import Models
package import Postgres
package import Sealing

/// Bodies of streams as they lie in the database: sealed.
package enum StreamBodies {
    /// Where a body is sealed that is under a key of the day.
    package static func place(
        in stream: StreamDefinition, shard: Shard, key: String, recordedAt: Instant
    ) -> String {
        "\(stream.table) \(shard.number) \(key) \(recordedAt.milliseconds)"
    }

    /// Where a body is sealed that is under the key of a profile.
    package static func place(in stream: StreamDefinition, shard: Shard, offset: Int64) -> String {
        "\(stream.table) \(shard.number) \(offset)"
    }

    /// The bodies of rows of a stream, which have its columns, and `profile_id` where that is whose keys they are sealed
    /// under. One whose key was destroyed is a tombstone; one that was tampered with is replaced
    /// by what no reader takes for a fact, so that each puts it aside and goes on.
    package static func open(
        _ rows: [PostgresRow], of stream: StreamDefinition, vault: Vault?, in session: some PostgresSession,
        logger: Logger? = nil
    ) async throws -> [String] {
        guard let vault else { return try rows.map { try $0.get("body") } }
        var ids: Set<ProfileID> = []
        if stream.sealing == .profile {
            ids = Set(try rows.compactMap { try $0.get("profile_id", as: ProfileID?.self) })
        }
        var keyring =
            stream.sealing == .profile ? try await vault.profiles.reading(ids, in: session) : nil
        var isCurrent = false
        var bodies: [String] = []
        bodies.reserveCapacity(rows.count)
        for row in rows {
            do {
                let body: String?
                if let known = keyring {
                    do { body = try open(row, of: stream, with: known) } catch  where !isCurrent {
                        // A profile that was erased may have got another key since.
                        let current = try await vault.profiles.current(ids, in: session)
                        (keyring, isCurrent) = (current, true)
                        body = try open(row, of: stream, with: current)
                    }
                } else {
                    body = try await open(row, of: stream, with: vault.days)
                }
                bodies.append(try body ?? tombstone(of: row, in: stream))
            } catch SealingError.altered(let place) {
                let (shard, offset): (Shard, Int64) = (try row.get("shard"), try row.get("offset"))
                logger?.error(
                    "a record can't be opened",
                    metadata: [
                        "table": "\(place)", "shard": "\(shard.number)", "offset": "\(offset)",
                    ])
                bodies.append(JSON.object(["kind": "unreadable"]).compact)
            }
        }
        return bodies
    }

    private static func open(
        _ row: PostgresRow, of stream: StreamDefinition, with days: DayKeys
    ) async throws -> String? {
        let body: String = try row.get("body")
        guard body.utf8.first == UInt8(ascii: "~") else { return body }
        return try await days.open(
            body,
            at: place(
                in: stream, shard: try row.get("shard"), key: try row.get("key"),
                recordedAt: try row.get("recorded_at")))
    }

    private static func open(
        _ row: PostgresRow, of stream: StreamDefinition, with keyring: ProfileKeyring
    ) throws -> String? {
        let body: String = try row.get("body")
        guard body.utf8.first == UInt8(ascii: "~") else { return body }
        return try keyring.open(
            body, of: try row.get("profile_id"),
            at: place(in: stream, shard: try row.get("shard"), offset: try row.get("offset")))
    }

    private static func tombstone(of row: PostgresRow, in stream: StreamDefinition) throws -> String {
        var members: [String: JSON] = [
            "kind": "erased", "at": .string(try row.get("recorded_at", as: Instant.self).rfc3339),
        ]
        if stream.sealing == .profile { members["profileId"] = .string(try row.get("key")) }
        return JSON.object(members).compact
    }
}
