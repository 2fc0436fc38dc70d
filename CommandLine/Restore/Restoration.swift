import Foundation
import Models
import Postgres

/// Does again what a backup doesn't know, over the API that it was asked by first: every step is in the ledger and among
/// the privacy requests once more, and repeated it is a duplicate.
struct Restoration {
    let api: APIClient
    let consent: String
    let key: String
    /// Under the owner's role.
    let pool: PostgresPool

    private static let batch = 1_000
    private static let source = "restored"

    /// Returns whether somebody has to look at something.
    func run(_ file: RecallFile, within limit: Duration?, say: (String) -> Void) async throws -> Bool {
        // Before anything: who has a key that leaked must not use it meanwhile.
        let keys = try await endKeys(file.keys)
        if !file.keys.isEmpty {
            say("API keys that had ended: \(file.keys.count) known, \(keys) ended again")
        }
        let tombstones = try await entomb(file.identifiers)
        say("erased identifiers: \(file.identifiers.count) known, \(tombstones) put back")
        // What keeps people from being written to comes first.
        var problems = try await withdraw(file.withdrawals, say: say)
        problems += try await restrict(file, say: say)
        let (asked, conflicts) = try await erase(file.erasures, say: say)
        problems += conflicts
        for problem in problems { say(problem) }
        guard let limit, !asked.isEmpty else {
            if !asked.isEmpty { say("\(asked.count) erasures are under way; start the other services now") }
            return !problems.isEmpty
        }
        say("waiting for every service to have erased; start those that don't run yet")
        let open = try await self.open(asked, after: limit)
        say("erased: \(asked.count - open.count) of \(asked.count)")
        for id in open { say("the erasure \(id) has not ended: GET \(consent)/v1/privacy-requests/\(id)") }
        return !problems.isEmpty || !open.isEmpty
    }

    private func endKeys(_ keys: [RecallFile.EndedKey]) async throws -> Int {
        guard !keys.isEmpty else { return 0 }
        return try await pool.execute(
            """
            UPDATE platform.api_key k SET expires_at = least(k.expires_at, w.at),
                revoked_at = CASE WHEN w.is_revoked THEN least(k.revoked_at, w.at) ELSE k.revoked_at END
            FROM (
                SELECT id, min(at) AS at, bool_or(is_revoked) AS is_revoked
                FROM unnest(\(keys.map(\.id))::uuid[], \(keys.map(\.at))::timestamptz[],
                    \(keys.map(\.isRevoked))::boolean[]) AS w(id, at, is_revoked)
                GROUP BY id
            ) w
            WHERE k.key_id = w.id AND (k.expires_at IS NULL OR k.expires_at > w.at)
            """)
    }

    /// Late events of erased people make nobody of them again.
    private func entomb(_ identifiers: [RecallFile.ErasedIdentifier]) async throws -> Int {
        var count = 0
        for begin in stride(from: 0, to: identifiers.count, by: Self.batch) {
            let lot = identifiers[begin..<min(begin + Self.batch, identifiers.count)]
            count += try await pool.execute(
                """
                INSERT INTO profiles.erased_identifier AS e (shard, type, value_hash, erased_at)
                SELECT shard, type, hash, max(at)
                FROM unnest(\(lot.map(\.shard))::smallint[], \(lot.map(\.type))::text[], \(lot.map(\.hash))::bytea[],
                    \(lot.map(\.at))::timestamptz[]) AS w(shard, type, hash, at)
                GROUP BY shard, type, hash
                ON CONFLICT (shard, type, value_hash) DO UPDATE SET erased_at = excluded.erased_at
                WHERE e.erased_at < excluded.erased_at
                """)
        }
        return count
    }

    // MARK: Withdrawals

    private func withdraw(_ withdrawals: [JSON], say: (String) -> Void) async throws -> [String] {
        // Of somebody whom the backup doesn't know, or who was erased before it, there is nothing to withdraw.
        let subjects = withdrawals.map { $0["subject"]?["profileId"]?.string.flatMap { ProfileID($0) } }
        let present = Set(try await canonical(of: subjects.compactMap { $0 }).keys)
        let known = zip(withdrawals, subjects).filter { $1.map(present.contains) ?? false }.map(\.0)
        var (recorded, duplicates): (Int64, Int64) = (0, 0)
        var problems: [String] = []
        for begin in stride(from: 0, to: known.count, by: Self.batch) {
            let lot = known[begin..<min(begin + Self.batch, known.count)]
            let answer = try await post("/v1/consents/batch", lot.map(\.compact))
            recorded += answer["recorded"]?.integer ?? 0
            duplicates += answer["duplicate"]?.integer ?? 0
            for (line, item) in zip(lot, answer["items"]?.array ?? []) where item["status"] == "refused" {
                let (path, reason) = (item["path"]?.string ?? "", item["reason"]?.string ?? "")
                problems.append(
                    "the withdrawal of \(line["purpose"]?.string ?? "") by \(line["subject"]?.compact ?? "") is refused: "
                        + "\(path) \(reason)")
            }
        }
        say(
            "withdrawals: \(recorded) done again, \(duplicates) there already, \(withdrawals.count - known.count) of people "
                + "who are not in the backup")
        return problems
    }

    // MARK: Restrictions

    private func restrict(_ file: RecallFile, say: (String) -> Void) async throws -> [String] {
        let standing = file.restrictions.filter { !file.liftings.contains($0.id) }
        let there = Set(
            try await pool.query("SELECT DISTINCT request_id::text AS id FROM profiles.restriction").map {
                try $0.get("id", as: String.self)
            })
        let missing = standing.filter { !there.contains($0.id) }
        let owners = try await canonical(of: missing.flatMap(\.profiles))
        var forms: [JSON] = []
        for request in missing {
            for owner in Set(request.profiles.compactMap { owners[$0] }).sorted(by: {
                $0.description < $1.description
            }) {
                forms.append(Self.form(request, owner))
            }
        }
        let (made, repeated, problems) = try await ask(forms)
        say(
            "restrictions: \(made.count) done again, \(repeated.count + standing.count - missing.count) there already"
        )
        let lifted = file.liftings.intersection(there).sorted()
        return problems
            + lifted.map {
                "the restriction \($0) was lifted after the backup: lift it again (POST /v1/privacy-requests/\($0)/lift)"
            }
    }

    // MARK: Erasures

    /// The requests that are to end, and what somebody has to decide.
    private func erase(
        _ erasures: [RecallFile.Request], say: (String) -> Void
    ) async throws -> ([String], [String]) {
        let owners = try await canonical(of: erasures.flatMap(\.profiles))
        let members = try await members(of: Set(owners.values))
        var forms: [JSON] = []
        var conflicts: [String] = []
        var absent = 0
        for request in erasures {
            let people = Set(request.profiles.compactMap { owners[$0] })
            if people.isEmpty { absent += 1 }
            for owner in people.sorted(by: { $0.description < $1.description }) {
                let others = (members[owner] ?? []).subtracting(request.profiles)
                // Whoever was parted from them after the backup is somebody else, and was not erased.
                if others.isEmpty {
                    forms.append(Self.form(request, owner))
                } else {
                    conflicts.append(
                        "\(owner) was erased by \(request.id), and here is one person with "
                            + others.map(\.description).sorted().joined(separator: ", ")
                            + ", who was not: undo their merge (POST /v1/merges/{id}/undo), and run this again"
                    )
                }
            }
        }
        let (made, repeated, problems) = try await ask(forms)
        say(
            "erasures: \(made.count) begun again, \(repeated.count) begun already, \(absent) of people who are not in the "
                + "backup or are erased")
        return (made + repeated, conflicts + problems)
    }

    private static func form(_ request: RecallFile.Request, _ profile: ProfileID) -> JSON {
        [
            "type": .string(request.type), "regime": .string(request.regime),
            "subject": ["profileId": .string(profile.description)], "verifiedBy": ["method": .string(source)],
            // One for each person that they are in the backup.
            "reference": .string("\(source) \(request.id) \(profile)"),
        ]
    }

    private func ask(_ forms: [JSON]) async throws -> (made: [String], repeated: [String], problems: [String])
    {
        var (made, repeated, problems): ([String], [String], [String]) = ([], [], [])
        for begin in stride(from: 0, to: forms.count, by: Self.batch) {
            let lot = forms[begin..<min(begin + Self.batch, forms.count)]
            let answer = try await post("/v1/privacy-requests/batch", lot.map(\.compact))
            for (form, item) in zip(lot, answer["items"]?.array ?? []) {
                let id = item["id"]?.string ?? ""
                switch item["verdict"]?.string {
                case "accepted": made.append(id)
                case "duplicate": repeated.append(id)
                default:
                    problems.append(
                        "\(form["reference"]?.string ?? "") is refused: \(item["problem"]?["detail"]?.string ?? "")"
                    )
                }
            }
        }
        return (made, repeated, problems)
    }

    /// Those that have not ended when the time is up.
    private func open(_ requests: [String], after limit: Duration) async throws -> [String] {
        let end = ContinuousClock.now + limit
        var open = requests
        while true {
            let done = Set(
                try await pool.query(
                    """
                    SELECT request_id::text AS id FROM consent.privacy_request
                    WHERE request_id = ANY(\(open)::uuid[]) AND state = 'completed'
                    """
                ).map { try $0.get("id", as: String.self) })
            open.removeAll { done.contains($0) }
            if open.isEmpty || ContinuousClock.now >= end { return open }
            try await Task.sleep(for: .milliseconds(300))
        }
    }

    // MARK: What the backup knows

    /// Whose the profiles are, of those that are there and not erased.
    private func canonical(of profiles: [ProfileID]) async throws -> [ProfileID: ProfileID] {
        var owners: [ProfileID: ProfileID] = [:]
        let all = Array(Set(profiles))
        for begin in stride(from: 0, to: all.count, by: 5_000) {
            let lot = Array(all[begin..<min(begin + 5_000, all.count)])
            let rows = try await pool.query(
                """
                SELECT profile_id, canonical_id FROM profiles.profile p
                WHERE p.profile_id = ANY(\(lot)::uuid[]) AND p.erased_at IS NULL
                """)
            for row in rows {
                owners[try row.get("profile_id")] = try row.get("canonical_id", as: ProfileID.self)
            }
        }
        return owners
    }

    private func members(of people: Set<ProfileID>) async throws -> [ProfileID: Set<ProfileID>] {
        var members: [ProfileID: Set<ProfileID>] = [:]
        let all = Array(people)
        for begin in stride(from: 0, to: all.count, by: 5_000) {
            let lot = Array(all[begin..<min(begin + 5_000, all.count)])
            let rows = try await pool.query(
                """
                SELECT profile_id, canonical_id FROM profiles.profile
                WHERE canonical_id = ANY(\(lot)::uuid[]) AND erased_at IS NULL
                """)
            for row in rows {
                members[try row.get("canonical_id"), default: []].insert(try row.get("profile_id"))
            }
        }
        return members
    }

    private func post(_ path: String, _ lines: [String]) async throws -> JSON {
        let answer = try await api.send(
            "POST", consent + path, as: .bearer(key), body: Array(lines.joined(separator: "\n").utf8),
            contentType: "application/x-ndjson", headers: ["X-Martlet-Reason": "martlet restore"],
            timeout: .seconds(600))
        guard answer.status == 200, let json = answer.json else {
            throw CommandProblem("consent does not take what is to be done again: \(answer.problem)")
        }
        return json
    }
}
