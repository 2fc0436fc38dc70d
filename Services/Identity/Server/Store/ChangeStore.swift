import FoundationEssentials
import IdentityDomain
import Models
import Postgres
import ProfileStore
import Sealing
import Streams

/// Writes what a resolver has decided, in one round trip.
struct ChangeStore {
    let key: IdentifierKey

    /// Whose keys it takes to write the changes.
    static func owners(of changes: ResolverChanges) -> Set<ProfileID> {
        Set(changes.claims.values.map(\.profileID)).union(changes.traits.keys.map(\.profileID))
    }

    /// Fails with `RetryLater` when another instance has claimed one of the identifiers since they were read.
    func write(
        _ resolver: Resolver, sealing keyring: ProfileKeyring, day: DayKey?,
        in transaction: PostgresTransaction
    ) async throws {
        let changes = resolver.changes
        let claims = changes.claims.map {
            (place: key.place(of: $0.key), identifier: $0.key, claim: $0.value)
        }
        .sorted { $0.place < $1.place }
        var statements: [SQL] = []
        if !changes.created.isEmpty { statements.append(insertProfiles(of: resolver)) }
        if !claims.isEmpty { statements.append(try insertIdentifiers(claims, keyring)) }
        let claimed = statements.count
        if !changes.sightings.isEmpty { statements.append(updateSightings(changes.sightings)) }
        if !changes.merges.isEmpty {
            statements.append(insertMerges(changes.merges))
            statements.append(moveMembers(changes.merges, resolver: resolver))
            let merged = changes.merges.map { (root: resolver.root(of: $0.survivor), at: $0.at) }
            statements.append(
                MatchingProposalStore.supersede(
                    within: Set(merged.map(\.root)).sorted(), at: merged.map(\.at).max() ?? .distantPast))
        }
        if !changes.suppressions.isEmpty { statements.append(reportSuppressed(changes.suppressions)) }
        if !changes.allowed.isEmpty { statements.append(allow(changes)) }
        if !changes.shares.isEmpty { statements.append(insertShares(changes.shares)) }
        if let touch = touchProfiles(of: resolver) { statements.append(touch) }
        if !changes.traits.isEmpty { statements.append(try upsertTraits(changes.traits, keyring)) }
        if let index = SearchStore(key: key).index(changes) { statements.append(index) }
        statements += try AccountStore.writes(changes.accounts, under: day)
        guard !statements.isEmpty else { return }
        let replies = try await transaction.pipeline(statements)
        let inserted = try replies.prefix(claimed).reduce(0) { sum, rows in
            sum + (try rows.first?.get("inserted", as: Int.self) ?? 0)
        }
        guard inserted == changes.created.count + claims.count else {
            throw RetryLater("another instance has met the same person at the same time")
        }
    }

    private func insertProfiles(of resolver: Resolver) -> SQL {
        let created = resolver.changes.created.compactMap { resolver.profile($0) }.sorted { $0.id < $1.id }
        return """
            WITH new AS (
                INSERT INTO profiles.profile
                    (shard, profile_id, canonical_id, is_known, is_separated, created_at, updated_at)
                SELECT w.shard, w.id, w.canonical_id, w.is_known, w.is_separated, w.created_at, w.updated_at
                FROM unnest(\(binary: created.map { Shard($0.id) }), \(binary: created.map(\.id)),
                            \(binary: created.map { resolver.root(of: $0.id) }),
                            \(binary: created.map(\.isKnown)), \(binary: created.map(\.isSeparated)),
                            \(binary: created.map(\.createdAt)),
                            \(binary: created.map { resolver.changes.touched[$0.id] ?? $0.createdAt }))
                     AS w (shard, id, canonical_id, is_known, is_separated, created_at, updated_at)
                ON CONFLICT DO NOTHING
                RETURNING 1
            )
            SELECT count(*) AS inserted FROM new
            """
    }

    private func insertIdentifiers(
        _ claims: [(place: IdentifierPlace, identifier: Identifier, claim: ResolverChanges.Claim)],
        _ keyring: ProfileKeyring
    ) throws -> SQL {
        let values = try claims.map { claim in
            let id = claim.claim.profileID
            return try keyring.seal(
                claim.identifier.value, of: id,
                at: StoredIdentifier.place(of: claim.place.kind.rawValue, hash: claim.place.hash, of: id))
        }
        return """
            WITH new AS (
                INSERT INTO profiles.identifier
                    (shard, type, value_hash, value, profile_id, first_seen, last_seen)
                SELECT * FROM unnest(
                    \(binary: claims.map(\.place.shard)), \(binary: claims.map(\.place.kind.rawValue)),
                    \(binary: claims.map(\.place.hash)), \(binary: values),
                    \(binary: claims.map(\.claim.profileID)), \(binary: claims.map(\.claim.seen.first)),
                    \(binary: claims.map(\.claim.seen.last)))
                ON CONFLICT DO NOTHING
                RETURNING 1
            )
            SELECT count(*) AS inserted FROM new
            """
    }

    private func updateSightings(_ sightings: [Identifier: ResolverChanges.Seen]) -> SQL {
        let seen = sightings.map { (place: key.place(of: $0.key), seen: $0.value) }
            .sorted { $0.place < $1.place }
        return """
            UPDATE profiles.identifier i
            SET first_seen = LEAST(i.first_seen, w.first_seen), last_seen = GREATEST(i.last_seen, w.last_seen)
            FROM unnest(\(binary: seen.map(\.place.shard)), \(binary: seen.map(\.place.kind.rawValue)),
                        \(binary: seen.map(\.place.hash)), \(binary: seen.map(\.seen.first)),
                        \(binary: seen.map(\.seen.last)))
                 AS w (shard, type, value_hash, first_seen, last_seen)
            WHERE i.shard = w.shard AND i.type = w.type AND i.value_hash = w.value_hash
                AND (w.first_seen < i.first_seen OR w.last_seen > i.last_seen)
            """
    }

    /// Remembers with whom else identifiers were seen, and counts.
    private func insertShares(_ shares: [Identifier: Set<ProfileID>]) -> SQL {
        var rows: [(place: IdentifierPlace, id: ProfileID)] = []
        for (identifier, ids) in shares {
            let place = key.place(of: identifier)
            rows += ids.map { (place: place, id: $0) }
        }
        rows.sort { $0.place != $1.place ? $0.place < $1.place : $0.id < $1.id }
        return """
            WITH new AS (
                INSERT INTO profiles.identifier_share (shard, type, value_hash, profile_id)
                SELECT * FROM unnest(\(binary: rows.map(\.place.shard)),
                                     \(binary: rows.map(\.place.kind.rawValue)),
                                     \(binary: rows.map(\.place.hash)), \(binary: rows.map(\.id)))
                ON CONFLICT DO NOTHING
                RETURNING shard, type, value_hash
            )
            UPDATE profiles.identifier i SET shared_count = i.shared_count + n.count
            FROM (SELECT shard, type, value_hash, count(*) FROM new GROUP BY shard, type, value_hash) n
            WHERE i.shard = n.shard AND i.type = n.type AND i.value_hash = n.value_hash
            """
    }

    private func insertMerges(_ merges: [ResolverChanges.Merge]) -> SQL {
        """
        INSERT INTO profiles.merge
            (shard, merge_id, survivor_id, merged_id, survivor_member, merged_member, at, cause)
        SELECT shard, merge_id, survivor_id, merged_id, survivor_member, merged_member, at, cause
        FROM unnest(
            \(binary: merges.map { Shard($0.survivor) }), \(binary: merges.map(\.id)),
            \(binary: merges.map(\.survivor)), \(binary: merges.map(\.merged)),
            \(binary: merges.map(\.survivorMember)), \(binary: merges.map(\.mergedMember)),
            \(binary: merges.map(\.at)), \(binary: merges.map(\.cause)))
            WITH ORDINALITY AS w
                (shard, merge_id, survivor_id, merged_id, survivor_member, merged_member, at, cause, place)
        ORDER BY place
        """
    }

    /// Counts evidence for merges that were undone.
    private func reportSuppressed(_ suppressions: [MergeID: ResolverChanges.Suppression]) -> SQL {
        let reports = suppressions.sorted { $0.key < $1.key }
        return """
            UPDATE profiles.merge m
            SET suppressed_count = m.suppressed_count + w.count, suppressed_at = w.at, suppressed_cause = w.cause
            FROM unnest(\(binary: reports.map(\.key)), \(binary: reports.map { Int64($0.value.count) }),
                        \(binary: reports.map(\.value.at)), \(binary: reports.map(\.value.cause)))
                 AS w (merge_id, count, at, cause)
            WHERE m.merge_id = w.merge_id
            """
    }

    /// Whoever merges two people after all has allowed it.
    private func allow(_ changes: ResolverChanges) -> SQL {
        let at = changes.merges.map(\.at).max()
        return """
            UPDATE profiles.merge SET allowed_at = \(at)
            WHERE merge_id = ANY(\(binary: changes.allowed)) AND undone_at IS NOT NULL
            """
    }

    /// Points everything that was merged before, and now, at the last survivor.
    private func moveMembers(_ merges: [ResolverChanges.Merge], resolver: Resolver) -> SQL {
        """
        UPDATE profiles.profile p
        SET canonical_id = w.survivor
        FROM unnest(\(binary: merges.map(\.merged)), \(binary: merges.map { resolver.root(of: $0.merged) }))
             AS w (merged, survivor)
        WHERE p.canonical_id = w.merged
        """
    }

    private func touchProfiles(of resolver: Resolver) -> SQL? {
        let created = Set(resolver.changes.created)
        let touched = resolver.changes.touched.filter { !created.contains($0.key) }
            .compactMap { id, at in resolver.profile(id).map { (state: $0, at: at) } }
            .sorted { $0.state.id < $1.state.id }
        guard !touched.isEmpty else { return nil }
        return """
            UPDATE profiles.profile p
            SET is_known = w.is_known, is_separated = w.is_separated, updated_at = GREATEST(p.updated_at, w.updated_at)
            FROM unnest(\(binary: touched.map { Shard($0.state.id) }), \(binary: touched.map(\.state.id)),
                        \(binary: touched.map(\.state.isKnown)),
                        \(binary: touched.map(\.state.isSeparated)), \(binary: touched.map(\.at)))
                 AS w (shard, id, is_known, is_separated, updated_at)
            WHERE p.shard = w.shard AND p.profile_id = w.id
            """
    }

    private func upsertTraits(
        _ traits: [ResolverChanges.TraitKey: ResolverChanges.TraitWrite], _ keyring: ProfileKeyring
    ) throws -> SQL {
        let writes = traits.sorted {
            $0.key.profileID != $1.key.profileID
                ? $0.key.profileID < $1.key.profileID : $0.key.name.precedesInUTF8($1.key.name)
        }
        let values = try writes.map { key, write in
            try keyring.seal(
                write.entry.value, of: key.profileID, at: StoredTrait.place(of: key.name, of: key.profileID))
        }
        let histories = try writes.map { key, write in
            try write.entry.history.map {
                try keyring.seal(
                    $0.json, of: key.profileID, at: StoredTrait.historyPlace(of: key.name, of: key.profileID))
            }
        }
        return """
            INSERT INTO profiles.trait AS t
                (shard, profile_id, name, value, occurred_at, message_id, source_id, history)
            SELECT * FROM unnest(
                \(binary: writes.map { Shard($0.key.profileID) }), \(binary: writes.map(\.key.profileID)),
                \(binary: writes.map(\.key.name)), \(binary: values),
                \(binary: writes.map(\.value.entry.stamp.at)),
                \(binary: writes.map(\.value.entry.stamp.messageID)), \(binary: writes.map(\.value.sourceID)),
                \(binary: histories))
            ON CONFLICT (shard, profile_id, name) DO UPDATE
            SET value = excluded.value, occurred_at = excluded.occurred_at,
                message_id = excluded.message_id, source_id = excluded.source_id, history = excluded.history
            -- With a history what is stored was taken in: the profile is locked.
            WHERE excluded.history IS NOT NULL
                OR (t.occurred_at, t.message_id) < (excluded.occurred_at, excluded.message_id)
            """
    }
}
