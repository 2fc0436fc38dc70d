import Models
import Postgres
import SegmentationDomain
import ServiceKit
import Synchronization

/// What people do in each stage, and what follows from it: `GET /v1/interaction-matrix`.
///
/// Of few people it is exact; of many it is told from a fixed sample, with bounds.
final class InteractionMatrixRoutes: Sendable {
    private let underWay = Mutex(0)
    private let pool: PostgresPool
    private let clock: ServiceClock
    private let registry: SegmentRegistry

    /// Answers that are being worked out at a time.
    private static let atATime = 2
    /// People that are looked at.
    private static let most = 5_000
    private static let atOnce = 50
    /// After so long the answer is given with what has been seen by then.
    private static let patience: Duration = .seconds(3)
    private static let shown = 100

    init(pool: PostgresPool, clock: ServiceClock, registry: SegmentRegistry) {
        (self.pool, self.clock, self.registry) = (pool, clock, registry)
    }

    func add(to router: ServiceRouter) {
        router.get("/v1/interaction-matrix", scope: .segmentsRead, touches: .definitions) {
            try await self.matrix($0)
        }
    }

    private struct Seen {
        var matrix: InteractionMatrix
        var examined = 0
        /// Those of the sample whose state does not read.
        var leftOut = 0
        var total = 0
        var shards = 0

        var isWhole: Bool { shards == Shard.count && examined == total }
        var population: Int {
            isWhole || shards == 0 ? examined : max(examined, total * Shard.count / shards)
        }
    }

    private func matrix(_ request: ServiceRequest) async throws -> ServiceResponse {
        let now = try await clock.now()
        let question = try Self.question(request, at: now)
        let hasRoom = underWay.withLock { count in
            guard count < Self.atATime else { return false }
            count += 1
            return true
        }
        guard hasRoom else {
            throw Problem.tooManyRequests(
                retryAfterSeconds: 3, "other answers are being worked out; send the same again in a moment")
        }
        defer { underWay.withLock { $0 -= 1 } }
        let (seen, model, stages) = try await pool.transaction(isolation: .repeatableRead) { transaction in
            (
                try await look(question, until: now + Self.patience, in: transaction),
                try await TouchpointModelStore(transaction).latest(about: question.conversion),
                try await StageStore(transaction).stages().list()
            )
        }
        return .json(Self.json(seen, model, stages.map(\.id)))
    }

    private static func question(
        _ request: ServiceRequest, at now: Instant
    ) throws -> InteractionMatrix.Question {
        let to = try request.queryInstant("to") ?? now
        let from = try request.queryInstant("from") ?? to - .hours(30 * 24)
        guard from < to, to - from <= TouchpointQuestions.longest else {
            throw Problem.badRequest(
                "`from` must be before `to`, by at most \(TouchpointQuestions.longest.text)")
        }
        let horizon =
            try request.query("horizon").map { Duration(text: $0) } ?? TouchpointQuestions.defaultHorizon
        guard let horizon, horizon > .zero, horizon <= TouchpointQuestions.longest else {
            throw Problem.badRequest(
                "`horizon` must be a length of time such as 7d, of at most \(TouchpointQuestions.longest.text)"
            )
        }
        let event: JSON =
            try request.query("conversion").map { ["event": .string($0)] }
            ?? TouchpointQuestions.defaultConversion
        do {
            return InteractionMatrix.Question(
                conversion: try TouchpointQuestions.conversion(RuleField(event)), horizon: horizon,
                from: from,
                to: to, now: now)
        } catch { throw Problem.badRequest("`conversion` must be \(error.expected)") }
    }

    private func look(
        _ question: InteractionMatrix.Question, until deadline: Instant, in transaction: PostgresTransaction
    ) async throws -> Seen {
        let decider = try await registry.decider(in: transaction).onlyStages
        let sample = PopulationSample(transaction: transaction, registry: registry)
        var seen = Seen(matrix: InteractionMatrix(question))
        for shard in Shard.all {
            let (people, total, leftOut) = try await sample.take(from: shard)
            seen.total += total
            seen.leftOut += leftOut
            seen.shards += 1
            for start in stride(from: 0, to: people.count, by: Self.atOnce) {
                let some = people[start..<min(start + Self.atOnce, people.count)]
                let timeline = try await TimelineReading.events(
                    of: some.map(\.id), vault: registry.vault, in: transaction)
                for profile in some {
                    let events = timeline[profile.id, default: []].map(\.event)
                    seen.matrix.add(decider.staged(events, of: profile.id))
                }
                seen.examined += some.count
                if seen.examined >= Self.most || clock.immediate.map({ $0() >= deadline }) ?? false {
                    return seen
                }
            }
        }
        return seen
    }

    // MARK: The answer

    private static func json(_ seen: Seen, _ model: StoredTouchpointModel?, _ stages: [String]) -> JSON {
        let question = seen.matrix.question
        var rows: [Touchpoint: [(stage: String?, cell: InteractionMatrix.Cell)]] = [:]
        for (place, cell) in seen.matrix.cells {
            rows[place.touchpoint, default: []].append((place.stage, cell))
        }
        let order = stages.enumerated().reduce(into: [String?: Int]()) { $0[$1.element] = $1.offset + 1 }
        let listed = rows.map { (touchpoint: $0.key, cells: $0.value) }.sorted {
            ($1.cells.map(\.cell.events).reduce(0, +), $0.touchpoint)
                < ($0.cells.map(\.cell.events).reduce(0, +), $1.touchpoint)
        }
        return [
            "at": .string(question.now.rfc3339), "from": .string(question.from.rfc3339),
            "to": .string(question.to.rfc3339), "conversion": .object(question.conversion.members),
            "horizon": .string(question.horizon.text), "exact": .bool(seen.isWhole),
            "examined": .integer(Int64(seen.examined)), "population": .integer(Int64(seen.population)),
            "modelId": model.map { .string($0.id.description) } ?? .null,
            "touchpoints": .array(
                listed.prefix(shown).map { touchpoint, cells in
                    [
                        "touchpoint": touchpoint.json, "weight": weight(of: touchpoint, in: model),
                        "stages": .array(
                            cells.sorted { (order[$0.stage] ?? 0) < (order[$1.stage] ?? 0) }.map {
                                json($0.cell, in: $0.stage, seen)
                            }),
                    ]
                }),
            "peopleLeftOut": .integer(Int64(seen.leftOut)),
            "touchpointsLeftOut": .integer(Int64(max(0, listed.count - shown))),
            "eventsLeftOut": .integer(Int64(seen.matrix.unlisted)),
        ]
    }

    private static func json(_ cell: InteractionMatrix.Cell, in stage: String?, _ seen: Seen) -> JSON {
        let people = SampleShare(count: cell.people, examined: seen.examined).people(of: seen.population)
        let share = SampleShare(count: cell.converted, examined: cell.settled)
        let events =
            seen.examined == 0
            ? 0 : Int((Double(cell.events) * Double(seen.population) / Double(seen.examined)).rounded())
        return [
            "stage": stage.map { .string($0) } ?? .null,
            "people": [
                "estimate": .integer(Int64(people.estimate)), "low": .integer(Int64(people.low)),
                "high": .integer(Int64(people.high)),
            ],
            "events": .integer(Int64(events)),
            "conversion": [
                "converted": .integer(Int64(cell.converted)), "of": .integer(Int64(cell.settled)),
                "open": .integer(Int64(cell.open)),
                "share": cell.settled == 0 ? .null : .double(share.share),
                "low": cell.settled == 0 ? .null : .double(share.bounds.lowerBound),
                "high": cell.settled == 0 ? .null : .double(share.bounds.upperBound),
            ],
        ]
    }

    /// What a model has learned of a touchpoint; null where none has.
    private static func weight(of touchpoint: Touchpoint, in model: StoredTouchpointModel?) -> JSON {
        let learned = model?.result?["touchpoints"]?.array?.first { $0["touchpoint"] == touchpoint.json }
        guard let learned else { return .null }
        return [
            "coefficient": learned["coefficient"] ?? .null, "low": learned["low"] ?? .null,
            "high": learned["high"] ?? .null,
        ]
    }
}
