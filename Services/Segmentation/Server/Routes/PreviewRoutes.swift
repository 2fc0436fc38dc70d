import Models
import Postgres
import SegmentationDomain
import ServiceKit
import Synchronization

/// What a rule would come to, before it is stored: `POST /v1/segments/preview`.
final class PreviewRoutes: Sendable {
    private let underWay = Mutex(0)
    let pool: PostgresPool
    let clock: ServiceClock
    let registry: SegmentRegistry
    let policies: ConsentPolicies

    init(
        pool: PostgresPool, clock: ServiceClock, registry: SegmentRegistry, policies: ConsentPolicies
    ) {
        (self.pool, self.clock, self.registry, self.policies) = (pool, clock, registry, policies)
    }

    /// Previews at a time: each keeps a processor and a connection busy, which events need as well.
    private static let atATime = 2
    /// Whoever edits a rule waits for the answer, so it is given after this long with what has been seen by then. Where the
    /// clock stands still, nobody waits.
    private static let patience: Duration = .milliseconds(600)
    /// People that are looked at; where there are no more, the answer is exact.
    private static let most = 2_000
    private static let shown = 10
    /// People whose histories are read at once: it is looked at the time after each lot.
    private static let atOnce = 50

    func add(to router: ServiceRouter) {
        router.post("/v1/segments/preview", scope: .segmentsRead, touches: .people) {
            try await self.preview($0)
        }
    }

    /// What was seen of the sample.
    private struct Seen {
        var examined = 0
        /// Those of the sample whose state does not read.
        var leftOut = 0
        /// People in the shards that were looked at.
        var total = 0
        var shards = 0
        var members: [ProfileID] = []
        /// The first of them who may be shown.
        var shown: [ProfileID] = []
        /// How many of the sample are in each segment, and how many of those would be in this one.
        var segments: [String: (all: Int, both: Int)] = [:]

        /// Whether everybody there is was looked at.
        var isWhole: Bool { shards == Shard.count && examined == total }
        /// About how many people there are.
        var population: Int { shards == 0 ? 0 : total * Shard.count / shards }
    }

    private func preview(_ request: ServiceRequest) async throws -> ServiceResponse {
        try request.requireMediaType(["application/json"])
        let text = try await WrittenDefinition.text(of: request)
        let document = try SegmentDocument(id: "preview", text: text)
        // The policy may say of this segment what it says of no other.
        let segment = try request.query("segment") ?? "preview"
        guard SegmentDefinition.isValid(id: segment) else {
            throw Problem.badRequest(
                "`segment` must be the id of the segment that the rule is meant for", type: "invalid-segment")
        }
        let hasRoom = underWay.withLock { count in
            guard count < Self.atATime else { return false }
            count += 1
            return true
        }
        guard hasRoom else {
            throw Problem.tooManyRequests(
                retryAfterSeconds: 1, "other previews are being worked out; send the same again in a second")
        }
        defer { underWay.withLock { $0 -= 1 } }
        let now = try await clock.now()
        let (seen, condition) = try await pool.transaction(isolation: .repeatableRead) { transaction in
            let condition = try await document.completed(from: text, for: request, in: transaction)
            let set = try await registry.decider(in: transaction).set
            let problems = SegmentReferences.problems(
                of: condition, as: "~preview", among: set.inForce, at: RulePath(["rule"]))
            guard problems.isEmpty else { throw SegmentDocument.problem(problems, in: text) }
            let permitted = try await PolicyRules(transaction).written(
                condition, as: segment, by: policies)
            var seen = try await look(
                SegmentPreview(permitted, beside: set), at: now, until: now + Self.patience, in: transaction)
            seen.shown = try await MembershipStore.shown(
                of: seen.members, limit: Self.shown, in: transaction)
            return (seen, permitted)
        }
        return .json(Self.json(seen, condition, at: now))
    }

    private func look(
        _ preview: SegmentPreview, at now: Instant, until deadline: Instant,
        in transaction: PostgresTransaction
    ) async throws -> Seen {
        let sample = PopulationSample(transaction: transaction, registry: registry)
        var seen = Seen()
        for shard in Shard.all {
            var (profiles, total, leftOut) = try await sample.take(from: shard)
            seen.total += total
            seen.leftOut += leftOut
            seen.shards += 1
            while !profiles.isEmpty {
                let some = Array(profiles.prefix(Self.atOnce))
                profiles.removeFirst(some.count)
                try await look(at: some, preview, at: now, sample, &seen)
                // After some at least: an answer that has looked at nobody is none.
                if seen.examined >= Self.most || clock.immediate.map({ $0() >= deadline }) ?? false {
                    return seen
                }
            }
        }
        return seen
    }

    private func look(
        at profiles: [PopulationSample.Profile], _ preview: SegmentPreview, at now: Instant,
        _ sample: PopulationSample, _ seen: inout Seen
    ) async throws {
        let timeline = try await TimelineReading.events(
            of: profiles.map(\.id), vault: registry.vault, in: sample.transaction)
        let consents =
            preview.asksForConsent
            ? try await ConsentReading.standing(of: profiles.map(\.id), at: now, in: sample.transaction) : [:]
        let accounts = try await AccountStore.standing(
            of: profiles.map(\.id), named: preview.accountTraits, vault: registry.vault,
            in: sample.transaction)
        var members: Set<ProfileID> = []
        for profile in profiles {
            let events = timeline[profile.id, default: []].filter {
                profile.state?.includes(offset: $0.offset, of: $0.shard) ?? false
            }.map(\.event)
            let told = (accounts[profile.id] ?? []).flatMap {
                AccountEvents.all(of: $0.group, $0.traits, decided: .distantPast)
            }
            let known = events + (consents[profile.id] ?? []) + told
            if preview.holds(for: profile.id, profile.state, with: known, at: now) {
                members.insert(profile.id)
            }
        }
        for (profile, segment) in try await sample.segments(of: profiles) {
            seen.segments[segment, default: (0, 0)].all += 1
            if members.contains(profile) { seen.segments[segment, default: (0, 0)].both += 1 }
        }
        seen.members += members.sorted()
        seen.examined += profiles.count
    }

    private static func json(_ seen: Seen, _ condition: Condition, at now: Instant) -> JSON {
        let population = seen.isWhole ? seen.examined : max(seen.population, seen.examined)
        func people(_ count: Int) -> JSON {
            let (estimate, low, high) = SampleShare(count: count, examined: seen.examined).people(
                of: population)
            return [
                "estimate": .integer(Int64(estimate)), "low": .integer(Int64(low)),
                "high": .integer(Int64(high)),
            ]
        }
        let overlap = seen.segments.sorted { $0.key.precedesInUTF8($1.key) }.map { id, counts -> JSON in
            [
                "segment": .string(id), "members": people(counts.all), "both": people(counts.both),
                "shareOfPreview": .double(
                    SampleShare(count: counts.both, examined: seen.members.count).share),
                "shareOfSegment": .double(SampleShare(count: counts.both, examined: counts.all).share),
            ]
        }
        return [
            "text": .string(condition.asWritten.text), "requires": StoredSegment.requires(condition),
            "at": .string(now.rfc3339), "exact": .bool(seen.isWhole),
            "examined": .integer(Int64(seen.examined)), "leftOut": .integer(Int64(seen.leftOut)),
            "population": .integer(Int64(population)),
            "members": people(seen.members.count),
            "sample": .array(seen.shown.map { .string($0.description) }),
            "overlap": .array(overlap), "notices": WrittenDefinition.notices(condition.asWritten),
        ]
    }
}
