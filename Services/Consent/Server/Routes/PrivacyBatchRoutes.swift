import ConsentDomain
import Crypto
import Foundation
import HTTPTypes
import Models
import Postgres
import ServiceKit

/// `/v1/privacy-requests/batch`: many requests in one call, each with its own verdict.
///
/// They are taken in some hundreds at a time, each lot in a transaction of its own, so that nobody waits long for the
/// ledger. Whoever repeats a call that was cut off is told of each row that was taken in before: rows are known by their
/// `reference`, or else by the Idempotency-Key of the call and their position.
struct PrivacyBatchRoutes: Sendable {
    let pool: PostgresPool
    let clock: ServiceClock
    let desk: PrivacyDesk
    let intake: PrivacyIntake

    static let mostRows = 10_000
    private static let bodyLimit = 32 << 20
    private static let rowLimit = 64 << 10
    private static let lot = 250

    func add(to router: ServiceRouter) {
        router.post("/v1/privacy-requests/batch", scope: .privacyWrite, touches: .people) {
            try await take($0)
        }
    }

    private enum Verdict {
        case accepted(PrivacyRequestID)
        case duplicate(PrivacyRequestID)
        case refused(Problem)
    }

    private func take(_ request: ServiceRequest) async throws -> ServiceResponse {
        let rows = try await Self.rows(of: request)
        let call = try Idempotency.key(of: request).map { key in
            "batch:" + hexadecimal(Array(SHA256.hash(data: Data(key.utf8)).prefix(16)))
        }
        var verdicts: [Verdict] = []
        verdicts.reserveCapacity(rows.count)
        for start in stride(from: 0, to: rows.count, by: Self.lot) {
            let lot = rows[start..<min(start + Self.lot, rows.count)]
            verdicts += try await take(lot, call: call, of: request)
        }
        return .json(Self.json(verdicts))
    }

    private func take(
        _ rows: ArraySlice<ArraySlice<UInt8>>, call: String?, of request: ServiceRequest
    ) async throws -> [Verdict] {
        let now = try await clock.now()
        let forms = rows.map { Self.form($0, now: now) }
        let wishes = try await intake.wishes(of: forms.compactMap { try? $0.get() }, at: now)
        var left = wishes[...]
        var asked: [(position: Int, wish: PrivacyDesk.Wish)] = []
        var verdicts: [Int: Verdict] = [:]
        for (position, form) in zip(rows.indices, forms) {
            do {
                _ = try form.get()
                guard var wish = try left.popFirst()?.get() else { continue }
                if wish.reference == nil { wish.reference = call.map { "\($0):\(position)" } }
                asked.append((position, wish))
            } catch let problem as Problem {
                verdicts[position] = .refused(problem)
            }
        }
        let ready = asked
        let taken = try await pool.transaction { transaction in
            try await desk.receive(
                ready.map(\.wish), joining: true,
                on: .init(caller: request.caller.label, now: now, traceparent: request.traceparent),
                in: transaction)
        }
        for ((position, _), verdict) in zip(ready, taken) {
            switch verdict {
            case .accepted(let made): verdicts[position] = .accepted(made.id)
            case .duplicate(let made): verdicts[position] = .duplicate(made.id)
            case .refused(let problem): verdicts[position] = .refused(problem)
            }
        }
        return rows.indices.map { verdicts[$0] ?? .refused(SubjectResolver.unknown) }
    }

    private static func form(_ row: ArraySlice<UInt8>, now: Instant) -> Result<PrivacyForm, any Error> {
        guard row.count <= rowLimit else {
            return .failure(Problem.badRequest("a row may have at most \(rowLimit) bytes"))
        }
        do {
            return .success(try PrivacyForm(try JSONParser.parse(row), now: now))
        } catch let error as DecodingProblem {
            return .failure(Problem.invalid(error))
        } catch {
            return .failure(Problem.badRequest("the row is not JSON: \(error)"))
        }
    }

    /// The texts of the rows: what is wrong inside one is that one's verdict.
    private static func rows(of request: ServiceRequest) async throws -> [ArraySlice<UInt8>] {
        try request.requireMediaType(["application/json", "application/x-ndjson"])
        let body = try await request.decodedBody(maxBytes: bodyLimit)
        let rows: [ArraySlice<UInt8>]
        if request.mediaType == "application/x-ndjson" {
            rows = body.split(separator: 0x0A).filter { line in
                line.contains { ![0x20, 0x09, 0x0D].contains($0) }
            }
        } else {
            guard body.first(where: { ![0x20, 0x09, 0x0A, 0x0D].contains($0) }) == UInt8(ascii: "[") else {
                throw Problem.badRequest("the body must be an array of requests, or NDJSON")
            }
            rows = try JSONParser.elements(of: body[...])
        }
        guard (1...mostRows).contains(rows.count) else {
            throw Problem.badRequest("there must be 1 to \(mostRows) requests; send more in several calls")
        }
        return rows
    }

    private static func json(_ verdicts: [Verdict]) -> JSON {
        var counts: [String: Int64] = ["accepted": 0, "duplicate": 0, "refused": 0]
        let items = verdicts.enumerated().map { position, verdict -> JSON in
            var members: [String: JSON] = ["position": .integer(Int64(position))]
            switch verdict {
            case .accepted(let id):
                members["verdict"] = "accepted"
                members["id"] = .string(id.description)
            case .duplicate(let id):
                members["verdict"] = "duplicate"
                members["id"] = .string(id.description)
            case .refused(let problem):
                members["verdict"] = "refused"
                members["problem"] = problem.json
            }
            counts[members["verdict"]?.string ?? "", default: 0] += 1
            return .object(members)
        }
        var answer = counts.mapValues(JSON.integer)
        answer["received"] = .integer(Int64(verdicts.count))
        answer["items"] = .array(items)
        return .object(answer)
    }
}
