import Models
import Postgres

/// How many entered and left a segment, hour by hour: `segment_hour`.
enum SegmentHourStore {
    /// An hour, or several that belong together.
    struct Count {
        /// When it begins.
        var at: Instant
        var entered: Int
        var exited: Int
        /// How many were in the segment when it ended.
        var size: Int
    }

    /// Statements that count changes, each in the hour of its instant.
    static func writes(_ changes: [MembershipChange]) -> [SQL] {
        struct Place: Hashable {
            let shard: Shard
            let segment: String
            let hour: Instant
        }
        var counts: [Place: (entered: Int, exited: Int)] = [:]
        for change in changes {
            let place = Place(
                shard: Shard(change.profileID), segment: change.segment, hour: hour(of: change.at))
            if change.change == .entered {
                counts[place, default: (0, 0)].entered += 1
            } else {
                counts[place, default: (0, 0)].exited += 1
            }
        }
        guard !counts.isEmpty else { return [] }
        // In one order for everybody, so that two who count the same wait and don't deadlock.
        let ordered = counts.sorted { left, right in
            if left.key.shard != right.key.shard { return left.key.shard < right.key.shard }
            if left.key.segment != right.key.segment {
                return left.key.segment.precedesInUTF8(right.key.segment)
            }
            return left.key.hour < right.key.hour
        }
        return [
            """
            INSERT INTO segment_hour AS h (shard, segment, hour, entered, exited)
            SELECT * FROM unnest(\(binary: ordered.map(\.key.shard)), \(binary: ordered.map(\.key.segment)),
                \(binary: ordered.map(\.key.hour)), \(binary: ordered.map { Int64($0.value.entered) }),
                \(binary: ordered.map { Int64($0.value.exited) }))
            ON CONFLICT (shard, segment, hour)
            DO UPDATE SET entered = h.entered + excluded.entered, exited = h.exited + excluded.exited
            """
        ]
    }

    /// The hour, in UTC, that an instant lies in.
    private static func hour(of instant: Instant) -> Instant {
        let length: Int64 = 3_600_000
        let (quotient, remainder) = instant.milliseconds.quotientAndRemainder(dividingBy: length)
        return Instant(milliseconds: (remainder < 0 ? quotient - 1 : quotient) * length)
    }

    /// What happened in a segment from `from` on and before `to`, by the hour or by the day of a time zone, without those
    /// in which nothing did.
    static func counts(
        of segment: String, from: Instant, to: Instant, by unit: String, in zone: CivilZone,
        session: some PostgresSession
    ) async throws -> [Count] {
        let before = try await session.query(
            """
            SELECT coalesce(sum(entered - exited), 0)::bigint AS size FROM segment_hour
            WHERE segment = \(segment) AND hour < \(from)
            """
        ).first?.get("size", as: Int.self)
        let rows = try await session.query(
            """
            SELECT date_trunc(\(unit), hour, \(zone.name)) AS at, sum(entered)::bigint AS entered,
                   sum(exited)::bigint AS exited
            FROM segment_hour WHERE segment = \(segment) AND hour >= \(from) AND hour < \(to)
            GROUP BY 1 ORDER BY 1
            """)
        var size = before ?? 0
        return try rows.map { row in
            let (entered, exited): (Int, Int) = (try row.get("entered"), try row.get("exited"))
            size += entered - exited
            return Count(at: try row.get("at"), entered: entered, exited: exited, size: size)
        }
    }
}
