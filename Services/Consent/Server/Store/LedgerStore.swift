import ConsentDomain
import Crypto
import FoundationEssentials
import Models
import Postgres
import Sealing

/// The SQL of the ledger: appending to the chains, reading a person's entries, detaching persons.
enum LedgerStore {
    static let sha256: ConsentDomain.Digest = { Array(SHA256.hash(data: $0)) }

    /// Locks the chains of the shards until the transaction ends, in ascending order, and reads their ends.
    static func lockChains(
        _ shards: Set<Shard>, in transaction: PostgresTransaction
    ) async throws -> [Shard: LedgerChain] {
        guard !shards.isEmpty else { return [:] }
        return try chains(try await transaction.query(lock(shards)))
    }

    /// The statement that locks chains, for a caller that sends it together with others; `chains` reads its rows.
    static func lock(_ shards: Set<Shard>) -> SQL {
        let wanted = shards.sorted()
        let geneses = wanted.map { Data(LedgerChain.genesis(of: $0, digest: sha256)) }
        return "SELECT shard, position, hash FROM lock_chains(\(binary: wanted), \(binary: geneses))"
    }

    static func chains(_ rows: [PostgresRow]) throws -> [Shard: LedgerChain] {
        var chains: [Shard: LedgerChain] = [:]
        for row in rows {
            let shard: Shard = try row.get("shard")
            chains[shard] = LedgerChain(
                shard: shard, position: try row.get("position"), head: try row.get("hash"), digest: sha256)
        }
        return chains
    }

    /// The statements that append sealed entries with the persons behind them and move the ends of their chains.
    static func statements(
        appending entries: [(sealed: SealedEntry, subject: EntrySubject)], chains: [Shard: LedgerChain],
        under key: DayKey
    ) throws -> [SQL] {
        let sealed = entries.map(\.sealed)
        let evidence = try entries.map {
            UTF8Text(Array(try key.seal($0.subject.evidence, at: place(of: $0.sealed.id)).utf8))
        }
        let touched = Set(sealed.map { $0.shard })
        let ends = chains.values.filter { touched.contains($0.shard) }
        return [
            """
            INSERT INTO ledger_entry (shard, position, entry_id, subject_digest, evidence_digest, purpose, action,
                source, text_version, locale, policy_version, occurred_at, recorded_at, previous_hash, hash)
            SELECT * FROM unnest(\(binary: sealed.map { $0.shard }), \(binary: sealed.map { $0.position }),
                \(binary: sealed.map { $0.id }), \(binary: sealed.map { Data($0.subjectDigest) }),
                \(binary: sealed.map { Data($0.evidenceDigest) }), \(binary: sealed.map { $0.purpose }),
                \(binary: sealed.map { $0.action.rawValue }), \(binary: sealed.map { $0.source }),
                \(binary: sealed.map { $0.textVersion }), \(binary: sealed.map { $0.locale }),
                \(binary: sealed.map { $0.policyVersion }), \(binary: sealed.map { $0.occurredAt }),
                \(binary: sealed.map { $0.recordedAt }), \(binary: sealed.map { Data($0.previousHash) }),
                \(binary: sealed.map { Data($0.hash) }))
            """,
            """
            INSERT INTO ledger_subject (shard, entry_id, profile_id, salt, evidence)
            SELECT * FROM unnest(\(binary: sealed.map { $0.shard }), \(binary: sealed.map { $0.id }),
                \(binary: entries.map { $0.subject.profileID }), \(binary: entries.map { Data($0.subject.salt) }),
                \(binary: evidence))
            """,
            // The rows are locked already, so it is no matter in which order they are taken.
            """
            INSERT INTO ledger_head (shard, position, hash)
            SELECT * FROM unnest(\(binary: ends.map { $0.shard }), \(binary: ends.map { $0.position }),
                \(binary: ends.map { Data($0.head) }))
            ON CONFLICT (shard) DO UPDATE SET position = excluded.position, hash = excluded.hash
            """,
        ]
    }

    /// The decisions in the ledger of the profiles, for folding.
    static func decisions(
        of profiles: [ProfileID], in transaction: PostgresTransaction
    ) async throws -> [(profileID: ProfileID, purpose: String, decision: ConsentDecision)] {
        let rows = try await transaction.query(
            """
            SELECT s.profile_id, e.entry_id, e.purpose, e.action, e.occurred_at
            FROM unnest(\(profiles.map { Shard($0) })::smallint[], \(profiles)::uuid[]) AS k(shard, profile_id)
            JOIN ledger_subject s ON s.shard = k.shard AND s.profile_id = k.profile_id
            JOIN ledger_entry e ON e.shard = s.shard AND e.entry_id = s.entry_id
            """)
        return try rows.map { row in
            (
                try row.get("profile_id"), try row.get("purpose"),
                ConsentDecision(
                    state: try action(row).state, at: try row.get("occurred_at"),
                    entry: try row.get("entry_id"))
            )
        }
    }

    /// What makes two reports of a decision the same.
    struct Spoken: Hashable, Sendable {
        let profileID: ProfileID
        let purpose: String
        let action: ConsentAction
        let source: String
        let occurredAt: Instant
    }

    /// Where something was reported before.
    enum Earlier: Sendable {
        case entry(LedgerEntryID)
        /// In the same call, by its place.
        case row(Int)
    }

    /// Everything that the ledger has of the profiles already.
    static func spoken(
        of profiles: [ProfileID], in transaction: PostgresTransaction
    ) async throws -> [Spoken: Earlier] {
        let rows = try await transaction.query(
            """
            SELECT s.profile_id, e.entry_id, e.purpose, e.action, e.source, e.occurred_at
            FROM unnest(\(profiles.map { Shard($0) })::smallint[], \(profiles)::uuid[]) AS k(shard, profile_id)
            JOIN ledger_subject s ON s.shard = k.shard AND s.profile_id = k.profile_id
            JOIN ledger_entry e ON e.shard = s.shard AND e.entry_id = s.entry_id
            """)
        var spoken: [Spoken: Earlier] = [:]
        for row in rows {
            let key = Spoken(
                profileID: try row.get("profile_id"), purpose: try row.get("purpose"),
                action: try action(row), source: try row.get("source"), occurredAt: try row.get("occurred_at")
            )
            spoken[key] = .entry(try row.get("entry_id"))
        }
        return spoken
    }

    /// A page of the entries of a person's profiles, the last recorded first.
    static func entries(
        of profiles: [ProfileID], before: LedgerEntryID?, limit: Int, vault: Vault,
        in session: some PostgresSession
    ) async throws -> [LedgerEntry] {
        let rows = try await session.query(
            """
            SELECT s.profile_id, s.evidence, e.entry_id, e.purpose, e.action, e.source, e.text_version, e.locale,
                e.policy_version, e.occurred_at, e.recorded_at
            FROM unnest(\(profiles.map { Shard($0) })::smallint[], \(profiles)::uuid[]) AS k(shard, profile_id)
            JOIN ledger_subject s ON s.shard = k.shard AND s.profile_id = k.profile_id
            JOIN ledger_entry e ON e.shard = s.shard AND e.entry_id = s.entry_id
            WHERE \(before)::uuid IS NULL OR s.entry_id < \(before)::uuid
            ORDER BY s.entry_id DESC LIMIT \(Int64(limit))
            """)
        var entries: [LedgerEntry] = []
        for row in rows {
            let id: LedgerEntryID = try row.get("entry_id")
            entries.append(
                LedgerEntry(
                    id: id, profileID: try row.get("profile_id"),
                    purpose: try row.get("purpose"), action: try action(row), source: try row.get("source"),
                    textVersion: try row.get("text_version", as: String?.self),
                    locale: try row.get("locale", as: String?.self),
                    policyVersion: try row.get("policy_version", as: Int64?.self),
                    occurredAt: try row.get("occurred_at"), recordedAt: try row.get("recorded_at"),
                    evidence: try await vault.days.openJSON(try row.get("evidence"), at: place(of: id))))
        }
        return entries
    }

    /// Where the evidence of an entry is sealed.
    static func place(of id: LedgerEntryID) -> String { "consent.ledger_subject.evidence \(id)" }

    /// Destroys what ties entries to the profiles, and records that it did. Returns how many entries it was.
    static func detach(
        _ profiles: [ProfileID], at now: Instant, in transaction: PostgresTransaction
    ) async throws -> Int {
        try await transaction.execute(
            """
            WITH gone AS (
                DELETE FROM ledger_subject s
                USING unnest(\(profiles.map { Shard($0) })::smallint[], \(profiles)::uuid[]) AS k(shard, profile_id)
                WHERE s.shard = k.shard AND s.profile_id = k.profile_id
                RETURNING s.shard, s.entry_id
            )
            INSERT INTO ledger_erasure (shard, entry_id, erased_at)
            SELECT shard, entry_id, \(now)::timestamptz FROM gone
            """)
    }

    static func action(_ row: PostgresRow) throws -> ConsentAction {
        let text = try row.get("action", as: String.self)
        guard let action = ConsentAction(rawValue: text) else {
            throw PostgresError.decoding(column: "action", message: "is none of grant, deny and withdraw")
        }
        return action
    }
}

extension LedgerStore.Spoken {
    /// What is to be reported of a profile.
    init(_ profileID: ProfileID, _ signal: ConsentSignal) {
        self.init(
            profileID: profileID, purpose: signal.purpose, action: signal.action, source: signal.source,
            occurredAt: signal.occurredAt)
    }
}
