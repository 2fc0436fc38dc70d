import ConsentDomain
import HTTPTypes
import Models
import Postgres
import ProfileStore
import ServiceKit

/// `POST /v1/consents/batch`: consents that were given elsewhere, in an array or a line each, with a verdict for each.
struct ConsentBatchRoutes: Sendable {
    let pool: PostgresPool
    let clock: ServiceClock
    let profiles: ProfileStore
    let policies: PolicyReader
    let recorder: ConsentRecorder
    let subjects: SubjectResolver

    private static let maxBytes = 16 << 20
    private static let mostRows = 10_000
    private static let longestRow = 64 << 10
    /// Rows of one transaction.
    private static let chunk = 500

    /// What became of a row.
    private enum Verdict {
        case recorded(LedgerEntryID, ProfileID)
        /// The same was imported before.
        case duplicate(LedgerEntryID)
        case refused(reason: String, path: String)
    }

    private struct Row {
        let number: Int
        let submission: ConsentSubmission
        let policy: ConsentPolicy
        var profileID: ProfileID?
    }

    func add(to router: ServiceRouter) {
        router.post("/v1/consents/batch", scope: .consentWrite, touches: .people) { try await take($0) }
    }

    private func take(_ request: ServiceRequest) async throws -> ServiceResponse {
        let lines = try await Self.lines(of: request)
        guard lines.count <= Self.mostRows else {
            throw Problem.badRequest(
                "a batch may have at most \(Self.mostRows) lines; send it in parts", type: "too-many-items")
        }
        let now = try await clock.now()
        let policy = try await policies.current(in: pool).policy
        var verdicts: [Int: Verdict] = [:]
        var rows: [Row] = []
        for (number, line) in lines.enumerated() {
            do throws(RowMistake) {
                rows.append(try Self.row(number, line, policy, now))
            } catch {
                verdicts[number] = .refused(reason: error.reason, path: error.path)
            }
        }
        for begin in stride(from: 0, to: rows.count, by: Self.chunk) {
            let chunk = Array(rows[begin..<min(begin + Self.chunk, rows.count)])
            verdicts.merge(try await record(chunk, at: now, by: request)) { $1 }
        }
        return .json(Self.answer(lines.count, verdicts))
    }

    /// The texts of the rows: what is wrong inside one is that one's verdict.
    private static func lines(of request: ServiceRequest) async throws -> [ArraySlice<UInt8>] {
        try request.requireMediaType(["application/x-ndjson", "application/json"])
        let bytes = try await request.decodedBody(maxBytes: maxBytes)
        let isSpace = { (byte: UInt8) in [0x20, 0x09, 0x0A, 0x0D].contains(byte) }
        let lines: [ArraySlice<UInt8>]
        if request.mediaType == "application/json" {
            guard bytes.first(where: { !isSpace($0) }) == UInt8(ascii: "[") else {
                throw Self.noBatch
            }
            lines = try JSONParser.elements(of: bytes[...])
        } else {
            lines = bytes.split(separator: UInt8(ascii: "\n")).filter { !$0.allSatisfy(isSpace) }
        }
        guard !lines.isEmpty else {
            throw Self.noBatch
        }
        return lines
    }

    private static let noBatch = Problem.badRequest(
        "the body must be an array of consents, or NDJSON, one consent a line")

    private struct RowMistake: Error {
        let reason: String
        let path: String
    }

    private static func row(
        _ number: Int, _ line: ArraySlice<UInt8>, _ policy: ConsentPolicy, _ now: Instant
    ) throws(RowMistake) -> Row {
        guard line.count <= longestRow else {
            throw RowMistake(reason: "a line may have at most \(longestRow) bytes", path: "")
        }
        let json: JSON
        do {
            json = try JSONParser.parse(Array(line))
        } catch {
            throw RowMistake(reason: "the line is not JSON: \(error)", path: "")
        }
        do throws(DecodingProblem) {
            let fields = try JSONFields(json)
            let submission = try ConsentSubmission(fields)
            guard submission.isKnown(to: policy) else {
                throw fields.problem("purpose", expected: "a purpose that the policy has")
            }
            guard let occurredAt = submission.occurredAt, occurredAt <= now else {
                // What is imported was said some time, and is told apart by it.
                throw fields.problem("occurredAt", expected: "the time at which it was said, in the past")
            }
            return Row(number: number, submission: submission, policy: policy)
        } catch {
            throw RowMistake(reason: error.message, path: error.path)
        }
    }

    private func record(
        _ chunk: [Row], at now: Instant, by request: ServiceRequest
    ) async throws -> [Int: Verdict] {
        var verdicts: [Int: Verdict] = [:]
        let identifiers = Set(
            chunk.compactMap { if case .identifier(let found) = $0.submission.subject { found } else { nil } }
        )
        var known = try await profiles.canonicalIDs(of: identifiers, in: pool)
        var rows: [Row] = []
        for var row in chunk {
            do throws(Problem) {
                switch row.submission.subject {
                case .profile(let id): row.profileID = id
                case .identifier(let identifier):
                    if known[identifier] == nil { known[identifier] = try await resolve(identifier) }
                    row.profileID = known[identifier]
                }
                rows.append(row)
            } catch {
                // Identity being away is nothing that the row is to blame for: all is to be sent again.
                if error.status == .serviceUnavailable { throw error }
                verdicts[row.number] = .refused(reason: error.detail ?? error.title, path: "subject")
            }
        }
        let written = try await pool.transaction { [rows] transaction in
            try await write(rows, at: now, by: request, in: transaction)
        }
        return verdicts.merging(written) { $1 }
    }

    private func resolve(_ identifier: Identifier) async throws(Problem) -> ProfileID {
        do {
            return try await subjects.resolve(.identifier(identifier))
        } catch let problem as Problem {
            throw problem
        } catch {
            throw .unavailable("the subject cannot be resolved now; try again")
        }
    }

    private func write(
        _ rows: [Row], at now: Instant, by request: ServiceRequest, in transaction: PostgresTransaction
    ) async throws -> [Int: Verdict] {
        var verdicts: [Int: Verdict] = [:]
        // Under the locks of the chains, so that of two who send the same at once one sees the other's.
        let ids = Set(rows.compactMap(\.profileID))
        _ = try await LedgerStore.lockChains(Set(ids.map { Shard($0) }), in: transaction)
        var kept = try await LedgerStore.spoken(of: Array(ids), in: transaction)
        var decisions: [NewDecision] = []
        var numbers: [Int] = []
        var repeated: [(number: Int, first: Int)] = []
        for row in rows {
            guard let profileID = row.profileID else { continue }
            let signal = row.submission.signal(by: row.policy, at: now, by: request.caller, via: "import")
            let spoken = LedgerStore.Spoken(profileID, signal)
            if let before = kept[spoken] {
                switch before {
                case .entry(let id): verdicts[row.number] = .duplicate(id)
                case .row(let index): repeated.append((row.number, index))
                }
                continue
            }
            kept[spoken] = .row(decisions.count)
            decisions.append(
                NewDecision(profileID: profileID, signal: signal, traceparent: request.traceparent))
            numbers.append(row.number)
        }
        let recorded = try await recorder.record(decisions, at: now, in: transaction)
        for recorded in recorded {
            verdicts[numbers[recorded.index]] = .recorded(recorded.entry.id, recorded.canonicalID)
        }
        for number in numbers where verdicts[number] == nil {
            verdicts[number] = .refused(reason: "no profile is known for this subject", path: "subject")
        }
        for (number, first) in repeated {
            switch verdicts[numbers[first]] {
            case .recorded(let id, _): verdicts[number] = .duplicate(id)
            default: verdicts[number] = verdicts[numbers[first]]
            }
        }
        return verdicts
    }

    private static func answer(_ count: Int, _ verdicts: [Int: Verdict]) -> JSON {
        var (recorded, duplicate, refused): (Int64, Int64, Int64) = (0, 0, 0)
        let items = (0..<count).map { number -> JSON in
            switch verdicts[number] {
            case .recorded(let id, let profileID):
                recorded += 1
                return [
                    "status": "recorded", "ledgerEntry": .string(id.description),
                    "profileId": .string(profileID.description),
                ]
            case .duplicate(let id):
                duplicate += 1
                return ["status": "duplicate", "ledgerEntry": .string(id.description)]
            case .refused(let reason, let path):
                refused += 1
                return ["status": "refused", "reason": .string(reason), "path": .string(path)]
            case nil:
                refused += 1
                return ["status": "refused", "reason": "it was not looked at", "path": ""]
            }
        }
        return [
            "received": .integer(Int64(count)), "recorded": .integer(recorded),
            "duplicate": .integer(duplicate), "refused": .integer(refused), "items": .array(items),
        ]
    }
}
