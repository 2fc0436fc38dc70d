import Models
import Postgres
import ServiceKit

/// How a segment has grown and shrunk: `GET /v1/segments/{id}/history`.
struct SegmentHistoryRoutes {
    let pool: PostgresPool
    let clock: ServiceClock

    /// Hours, or days, in one answer.
    private static let most: Int64 = 1_000

    private enum Unit: String {
        case hour, day

        var length: Duration { self == .hour ? .hours(1) : .days(1) }
    }

    func add(to router: ServiceRouter) {
        router.get("/v1/segments/{id}/history", scope: .segmentsRead, touches: .definitions) {
            try await history($0)
        }
    }

    private func history(_ request: ServiceRequest) async throws -> ServiceResponse {
        let id = try request.path("id")
        guard let unit = Unit(rawValue: try request.query("by") ?? Unit.hour.rawValue) else {
            throw Problem.badRequest("`by` must be hour or day")
        }
        let name = try request.query("zone") ?? CivilZone.utc.name
        guard let zone = CivilZone(name: name) else {
            throw Problem.badRequest("`zone` must be UTC or a time zone such as Europe/Berlin")
        }
        let now = try await clock.now()
        let to = try request.queryInstant("to") ?? now
        let from = try request.queryInstant("from") ?? to - unit.length * (unit == .hour ? 48 : 90)
        guard from < to, (to - from).milliseconds <= unit.length.milliseconds * Self.most else {
            throw Problem.badRequest(
                "`from` must be before `to`, by \(Self.most) \(unit.rawValue)s at most")
        }
        let counts = try await pool.transaction(isolation: .repeatableRead) { transaction in
            guard try await SegmentStore(transaction).segment(id) != nil else { throw Problem.noSegment }
            return try await SegmentHourStore.counts(
                of: id, from: from, to: to, by: unit.rawValue, in: zone, session: transaction)
        }
        return .page(
            counts.map { count in
                [
                    "at": .string(count.at.rfc3339), "entered": .integer(Int64(count.entered)),
                    "left": .integer(Int64(count.exited)), "size": .integer(Int64(count.size)),
                ]
            }, nextCursor: nil)
    }
}
