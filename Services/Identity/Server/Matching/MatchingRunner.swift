import IdentityDomain
import Logging
import Models
import Postgres
import ProfileStore
import ServiceKit
import Streams
import Synchronization

/// Does matching jobs. What was found is written first, in one transaction, and then carried out some steps at a time:
/// whoever takes a job up after its instance was killed looks for everything again, or goes on with what was found.
struct MatchingRunner: Sendable {
    let people: MatchingReading
    let records: MatchingRecordStore
    let policies: PolicyRegistry
    let application: MatchingApplication
    let settings: MatchingSettings
    let clock: ServiceClock
    /// What leases go by, also in a rehearsal.
    let machine: @Sendable () -> Instant
    let logger: Logger

    /// How long nobody else takes up a job of which nothing is heard.
    static let lease: Duration = .seconds(60)
    /// How often something is heard of it.
    private static let pace: Duration = .seconds(2)
    /// People that are read at a time.
    private static let pageSize = 1_000
    /// Steps of one transaction, which locks as many people twice over.
    private static let stepsAtATime = 200

    private var pool: PostgresPool { people.pool }

    /// Takes up the next job; nil when there is none, or somebody is at one.
    func claim() async throws -> MatchingJob? {
        let now = try await clock.now()
        return try await pool.transaction {
            try await MatchingJobStore.claim(for: Self.lease, machine: machine(), at: now, in: $0)
        }
    }

    /// Does a job that was claimed. It ends early when the job is somebody else's by then or was cancelled, and after so
    /// many `batches` of steps, as if the process had been killed then.
    func run(_ job: MatchingJob, batches: Int = .max) async throws {
        if job.run > MatchingJobStore.mostRuns {
            return try await end(
                job, .failed, "it was begun \(MatchingJobStore.mostRuns) times and never came to its end")
        }
        let progress = MatchingProgress()
        do {
            try await withThrowingTaskGroup(of: Bool.self) { group in
                group.addTask {
                    try await work(on: job, progress, batches: batches)
                    return true
                }
                group.addTask { try await keep(job, progress) }
                // Whichever ends first ends the other.
                _ = try await group.next()
                group.cancelAll()
            }
        } catch is NotOurs {
            return
        } catch let problem as MatchingProblem {
            try await end(job, .failed, problem.description)
        } catch let error as PostgresError where !error.isTransient && !Task.isCancelled {
            logger.error("a matching job failed", metadata: ["job": "\(job.id)", "error": "\(error)"])
            try await end(job, .failed, "something broke here; it is logged")
        }
    }

    /// Gives a job back that is not to be gone on with here.
    func release(_ job: MatchingJob) async throws {
        try await MatchingJobStore.release(job, in: pool)
    }

    private func work(on job: MatchingJob, _ progress: MatchingProgress, batches: Int) async throws {
        if !job.isPlanned { try await plan(job, progress) }
        progress.begin(.merging)
        var left = batches
        while left > 0 {
            try Task.checkCancellation()
            if try await applySome(of: job) { return }
            left -= 1
        }
    }

    // MARK: Finding

    private func plan(_ job: MatchingJob, _ progress: MatchingProgress) async throws {
        let mapping = job.definition.mapping
        var columns = try await read(mapping, progress)
        let brought = try await readRecords(of: job, into: &columns)
        let policy = job.definition.policy
        let gathered = columns
        let found = await MatchingCompute.run { MatchingFindings(gathered, mapping, policy, progress) }
        try Task.checkCancellation()
        let rejected = try await MatchingProposalStore.rejections(in: pool)
        let separated = try await MatchingProposalStore.separations(in: pool)
        let automatic = job.definition.automatic
        let (steps, passedOver) = await MatchingCompute.run {
            found.steps(rejected: rejected, separated: separated, automatic: automatic)
        }
        let now = try await clock.now()
        let profiles = progress.now.profiles
        try await pool.transaction { transaction in
            guard var locked = try await MatchingJobStore.lock(job, in: transaction) else { throw NotOurs() }
            try await MatchingPlanStore.insert(
                steps, of: job, names: brought.names, at: now, in: transaction)
            locked.isPlanned = true
            locked.stage = .merging
            locked.counts.profiles = profiles
            locked.counts.comparedProfiles = Int64(gathered.ids.count)
            locked.counts.knownRecords = Int64(brought.known)
            locked.counts.comparedPairs = Int64(found.comparedPairs)
            locked.counts.steps = Int64(steps.count)
            locked.counts.rejectedBefore = Int64(passedOver)
            try await MatchingJobStore.update(locked, in: transaction)
        }
    }

    private func read(_ mapping: MatchMapping, _ progress: MatchingProgress) async throws -> MatchingColumns {
        progress.begin(.reading)
        var columns = MatchingColumns(mapping)
        var position: ProfileID?
        while true {
            let page = try await people.page(after: position, limit: Self.pageSize, mapping)
            columns.append(page.records)
            progress.read(page.count)
            guard columns.ids.count <= settings.mostProfiles else {
                throw MatchingProblem.tooManyProfiles(limit: settings.mostProfiles)
            }
            guard page.count == Self.pageSize, let last = page.last else { return columns }
            position = last
        }
    }

    /// Reads the job's records, but those that are somebody's already.
    private func readRecords(
        of job: MatchingJob, into columns: inout MatchingColumns
    ) async throws -> (names: [IdentifierPlace: String], known: Int) {
        var names: [IdentifierPlace: String] = [:]
        var (known, row) = (0, 0)
        guard job.counts.records > job.counts.refusedRecords else { return (names, known) }
        let policy = try await policies.latest(in: pool)
        while true {
            let page = try await records.page(of: job.id, after: row, limit: Self.pageSize, in: pool)
            for stored in page.records {
                guard stored.owner == nil else {
                    known += 1
                    continue
                }
                guard let values = stored.record.values(job.definition.mapping, policy) else { continue }
                columns.append(stored.place, values)
                names[stored.place] = stored.sealedName
            }
            guard columns.count <= settings.mostProfiles else {
                throw MatchingProblem.tooManyProfiles(limit: settings.mostProfiles)
            }
            guard let last = page.last else { return (names, known) }
            row = last
        }
    }

    // MARK: Carrying out

    /// Takes some steps; true when the job is done.
    private func applySome(of job: MatchingJob) async throws -> Bool {
        let now = try await clock.now()
        for _ in 0..<MatchingSettings.attempts {
            do {
                return try await pool.transaction { transaction in
                    guard var locked = try await MatchingJobStore.lock(job, in: transaction) else {
                        throw NotOurs()
                    }
                    let isMore = try await application.step(
                        &locked, limit: Self.stepsAtATime, at: now, in: transaction)
                    if !isMore {
                        locked.state = .done
                        locked.stage = nil
                        locked.endedAt = now
                    }
                    try await MatchingJobStore.update(locked, in: transaction)
                    if !isMore { try await MatchingJobStore.clear(job.id, at: now, in: transaction) }
                    return !isMore
                }
            } catch is RetryLater { continue }
        }
        throw MatchingProblem.busy
    }

    private func end(_ job: MatchingJob, _ state: MatchingJob.State, _ failure: String) async throws {
        let now = try await clock.now()
        try await pool.transaction { transaction in
            guard var locked = try await MatchingJobStore.lock(job, in: transaction) else { return }
            locked.state = state
            locked.stage = nil
            locked.failure = failure
            locked.endedAt = now
            try await MatchingJobStore.update(locked, in: transaction)
            try await MatchingJobStore.clear(job.id, at: now, in: transaction)
        }
    }

    /// Lets something be heard of a job, again and again; throws when it is somebody else's.
    private func keep(_ job: MatchingJob, _ progress: MatchingProgress) async throws -> Bool {
        while true {
            try await Task.sleep(for: Self.pace)
            let (stage, profiles) = progress.now
            do {
                let isOurs = try await MatchingJobStore.extend(
                    job, until: machine() + Self.lease, stage: stage, profiles: profiles, in: pool)
                guard isOurs else { throw NotOurs() }
            } catch let error as PostgresError where error.isTransient && !Task.isCancelled {
                // If it stays away the lease runs out, and the fence keeps us from doing anything more.
                logger.debug("nothing is heard of a matching job", metadata: ["error": "\(error)"])
            }
        }
    }

    private struct NotOurs: Error {}
}

/// Why a job can't be done. The text is for whoever started it.
enum MatchingProblem: Error, CustomStringConvertible {
    case tooManyProfiles(limit: Int)
    case busy

    var description: String {
        switch self {
        case .tooManyProfiles(let limit):
            "more than \(limit) profiles and records have something to compare; MARTLET_MATCHING_PROFILES may be raised where there is memory for more"
        case .busy: "the same people are being resolved elsewhere all the time; start another job"
        }
    }
}

/// How far a job is, told from whatever thread it is on.
final class MatchingProgress: Sendable {
    private let state = Mutex<(stage: MatchingJob.Stage, profiles: Int64)>((.reading, 0))

    var now: (stage: MatchingJob.Stage, profiles: Int64) { state.withLock { $0 } }

    func begin(_ stage: MatchingJob.Stage) { state.withLock { $0.stage = stage } }

    func read(_ count: Int) { state.withLock { $0.profiles += Int64(count) } }
}
