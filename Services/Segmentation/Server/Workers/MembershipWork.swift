import Metrics
import Models
import Postgres
import Sealing
import SegmentationDomain
import Streams

/// One transaction's work on some profiles: their states are locked and read, folded in memory, and written back with
/// everything that follows from them, set by set.
struct MembershipWork {
    let decider: SegmentDecider
    let vault: Vault
    let transaction: PostgresTransaction
    let now: Instant
    var states: [ProfileID: StateStore.Stored]
    /// What the group calls at hand say of accounts.
    var accounts = AccountBook.empty
    /// What the profiles have yet to hear.
    var unheard: [ProfileID: Unheard] = [:]
    private var deadlines: [ProfileID: Instant?] = [:]
    private var touched: Set<ProfileID> = []
    /// What is stored of what next rules will change.
    private var differences: DifferenceStore.Differences = [:]
    private var nextStages: [ProfileID: ProfileState.NextStage] = [:]
    /// Memberships that began with a rule which was deleted again before anybody was told.
    private var untold: [(id: ProfileID, segment: String)] = []
    /// Those of whom the same is so of a stage.
    private var untoldStages: [ProfileID] = []
    private var erased: Set<ProfileID> = []
    private var changes: [(change: MembershipChange, traceparent: String?)] = []
    /// What of their evidence is too large for the stream.
    private var kept: [KeptEvidence] = []
    /// The changes that are none, by their places: memberships that go on, but since another instant.
    private var restated: Set<Int> = []
    /// What came of the stages, in the order in which it was decided; false for those that go on, but since another
    /// instant.
    private var stages: [(change: StageChange, traceparent: String?, isTold: Bool)] = []
    /// What would have been without merges that were undone.
    private var histories: [(history: MembershipHistory, traceparent: String?)] = []
    /// Merges that were undone since they were told: nothing is made of them any more.
    private var undone: Set<MergeID> = []
    /// Profiles that a fact says are erased and that are not: the event was another's, of a merge that was undone.
    private var standing: Set<ProfileID> = []

    /// Takes states that are locked by the transaction. `now` is the installation's time.
    init(
        decider: SegmentDecider, states: [ProfileID: StateStore.Stored], now: Instant, vault: Vault,
        in transaction: PostgresTransaction
    ) {
        self.vault = vault
        self.decider = decider
        self.states = states
        self.now = now
        self.transaction = transaction
        for case (let id, .state(let state)) in states {
            deadlines[id] = .some(state.nextDeadline)
            // A state that belongs to these rules has next ones only if they have.
            guard decider.set.hasNext || !decider.isCurrent(state) else { continue }
            let stored = state.differences
            if !stored.isEmpty { differences[id] = stored }
            nextStages[id] = state.nextStage
        }
    }

    // MARK: Facts

    /// Lets a fact take effect.
    mutating func take(_ fact: ProfileFact, of record: StreamRecord) async throws {
        switch fact {
        case .event(let profile, let under, let event): take(event, by: profile, under, of: record)
        case .merge(_, _, let mergeID, _, _) where undone.contains(mergeID): break
        case .mergedInto(_, _, let mergeID, _) where undone.contains(mergeID): break
        case .merge(let survivor, let merged, let mergeID, _, _):
            try await merge(merged, into: survivor, by: mergeID, of: record)
        case .mergedInto(let merged, _, let mergeID, _):
            leave(
                merged, at: .distantPast, cause: .merge(merged: merged, mergeID: mergeID), record.traceparent)
            states[merged] = .merged
        case .unmerge(let profile, _, _, let mergeID, _, _), .unmergedFrom(let profile, _, _, let mergeID, _):
            try await unmerge(profile, by: mergeID, of: record)
        case .withheld: break
        case .erased(let profile, _) where standing.contains(profile): break
        case .erased(let profile, let at):
            leave(profile, at: at, cause: .erasure, record.traceparent)
            states[profile] = .fresh
            erased.insert(profile)
        }
    }

    private mutating func take(
        _ event: TrackingEvent, by profile: ProfileID, _ under: ProfileID, of record: StreamRecord
    ) {
        var event = event
        event.position = TimelinePosition(shard: record.shard, offset: record.offset)
        if event.kind == .group { accounts.take(event, at: SegmentDecider.instant(of: event), under: under) }
        guard var state = state(of: profile) else { return }
        if state.includes(offset: record.offset, of: record.shard) {
            // It was made anew from the timeline, which says what the profile told of the account and not what others did.
            if event.kind == .group { accounts.tellAll(of: event) }
            return
        }
        // Out of the table while it changes, so that its lists are changed in place.
        states[profile] = .fresh
        hear(&state, of: profile, upTo: SegmentDecider.instant(of: event))
        if event.kind == .group {
            for shown in shown(event, to: state) {
                note(decider.apply(shown, to: &state, of: profile), record.traceparent)
            }
        } else {
            note(decider.apply(event, to: &state, of: profile), record.traceparent)
        }
        state.include(offset: record.offset, of: record.shard)
        keep(state, of: profile)
    }

    /// Lets a decision about consent take effect.
    mutating func take(_ consent: ConsentChange, of profile: ProfileID, _ record: StreamRecord) {
        guard var state = state(of: profile) else { return }
        states[profile] = .fresh
        let event = TrackingEvent(consent, recordedAt: record.recordedAt)
        // What is told is not heard before.
        unheard[profile]?.decisions.removeAll { $0.consent?.ledgerEntry == consent.ledgerEntry }
        hear(&state, of: profile, upTo: SegmentDecider.instant(of: event))
        note(decider.apply(event, to: &state, of: profile), record.traceparent)
        keep(state, of: profile)
    }

    /// Which of the two, as far as the facts have been read, has the state that a fact of the first changes; nil for none
    /// that is here.
    func holder(of profile: ProfileID, or canonical: ProfileID) -> ProfileID? {
        for id in [profile, canonical] {
            switch states[id] {
            case .state, .fresh: return id
            case .merged, nil: continue
            }
        }
        return nil
    }

    /// Lets what stands about consent take the place of what was known of it.
    mutating func replaceConsents(
        of profile: ProfileID, with decisions: [TrackingEvent], cause: Cause, _ traceparent: String?
    ) {
        guard var state = state(of: profile) else { return }
        note(decider.replaceConsents(decisions, in: &state, cause: cause, of: profile), traceparent)
        keep(state, of: profile)
    }

    /// What stands about consent, if any rule asks.
    func consents(of profiles: some Collection<ProfileID>) async throws -> [ProfileID:
        [TrackingEvent]]
    {
        guard !decider.set.purposes.isEmpty else { return [:] }
        return try await ConsentReading.standing(of: profiles, at: now, in: transaction)
    }

    /// Rebuilds the survivor from everything that the two have done. Its own facts behind this one in the stream take
    /// effect in their turn; those of the loser are all before the merge, so all of them are taken now.
    private mutating func merge(
        _ merged: ProfileID, into survivor: ProfileID, by mergeID: MergeID, of record: StreamRecord
    ) async throws {
        let cause = Cause.merge(merged: merged, mergeID: mergeID)
        try await settleAccounts()
        var loser: ProfileState?
        if case .state(let known) = states[merged] { loser = known }
        if var state = state(of: survivor) {
            let entries = try await TimelineReading.events(
                of: [survivor], vault: vault, in: transaction)[
                    survivor, default: []
                ]
                .filter { $0.key != survivor || $0.offset <= record.offset }
            let consents = try await consents(of: [survivor])[survivor] ?? []
            let accounts = try await accountEvents(of: [survivor])[survivor] ?? []
            let own = decider.merge(
                &state, with: entries.map(\.event) + consents + accounts, loser: loser, cause: cause,
                of: survivor)
            leave(merged, at: state.decidedAt, cause: cause, record.traceparent)
            note(own, record.traceparent)
            for entry in entries { state.include(offset: entry.offset, of: entry.shard) }
            state.include(offset: record.offset, of: record.shard)
            keep(state, of: survivor)
        } else {
            // The survivor has gone on into another, whose rebuilding has included all this.
            leave(merged, at: .distantPast, cause: cause, record.traceparent)
        }
        states[merged] = .merged
        touched.insert(merged)
    }

    /// Finds out which of the merges among the facts have been undone by now. The states are locked before it is
    /// asked, so whoever has read of the undoing already has committed. And which of those said to be erased are not.
    mutating func look(for facts: [ProfileFact]) async throws {
        let erasures = facts.compactMap { fact -> ProfileID? in
            if case .erased(let profile, _) = fact { profile } else { nil }
        }
        if !erasures.isEmpty { standing = try await ErasureReading.standing(of: erasures, in: transaction) }
        let merges = facts.compactMap { fact -> MergeID? in
            switch fact {
            case .merge(_, _, let id, _, _), .mergedInto(_, _, let id, _): id
            default: nil
            }
        }
        guard !merges.isEmpty else { return }
        undone = try await TimelineReading.undone(of: merges, in: transaction)
    }

    /// Makes a profile anew when a merge that it was part of is undone, from what is its own.
    private mutating func unmerge(
        _ profile: ProfileID, by mergeID: MergeID, of record: StreamRecord
    ) async throws {
        let since = try await TimelineReading.instant(of: mergeID, in: transaction) ?? .distantPast
        var told = MembershipHistory(profileID: profile, mergeID: mergeID, since: since)
        defer { histories.append((told, record.traceparent)) }
        touched.insert(profile)
        try await settleAccounts()
        _ = try await transaction.query(ConsentReading.recheck(profile, after: mergeID))
        // Merged into another by now: that one's rebuilding takes everything in.
        guard try await TimelineReading.isCanonical(profile, in: transaction) else { return }
        let entries = try await TimelineReading.events(
            of: [profile], vault: vault, in: transaction)[profile, default: []]
            .filter { $0.key != profile || $0.shard != record.shard || $0.offset <= record.offset }
            .sorted {
                ($0.recordedAt, $0.event.receivedAt, $0.shard, $0.offset)
                    < ($1.recordedAt, $1.event.receivedAt, $1.shard, $1.offset)
            }
        var decidesFrom: [String: Instant] = [:]
        if let first = entries.first?.recordedAt {
            decidesFrom = try await SegmentStore.made(after: first, in: transaction)
            decidesFrom.merge(try await ScoreStore.made(after: first, in: transaction)) { $1 }
            decidesFrom.merge(
                try await StageStore.made(after: first, of: decider.set, in: transaction)
            ) { $1 }
        }
        var state: ProfileState?
        if case .state(let known) = states[profile] { state = known }
        var (own, again, history) = decider.unmerge(
            &state, with: try await history(entries, of: profile), decidesFrom: decidesFrom, since: since,
            cause: .unmerge(mergeID: mergeID), now: now, of: profile)
        history.shorten()
        note(own, record.traceparent)
        note(again, record.traceparent, restated: true)
        told.versions = Dictionary(
            decider.set.inForce.filter(\.isSegment).map { ($0.id, $0.version) }, uniquingKeysWith: { $1 })
        told.changes = history.changes.filter { told.versions[$0.segment] != nil }
        told.leftOut = history.leftOut
        // Of these it is not all there is to say, so nothing is claimed of them.
        for segment in history.incomplete { told.versions[segment] = nil }
        guard var state else { return }
        for entry in entries { state.include(offset: entry.offset, of: entry.shard) }
        state.include(offset: record.offset, of: record.shard)
        keep(state, of: profile)
        // Whatever its row says of a deadline is of another history.
        deadlines[profile] = nil
    }

    /// The events of a profile in the order in which they arrived, with what stands about its consent as if that had
    /// been all that was ever said, and then when it was.
    private func history(
        _ entries: [TimelineReading.Entry], of profile: ProfileID
    ) async throws -> [TrackingEvent] {
        var events = entries.map { (at: $0.recordedAt, event: $0.event) }
        for consent in try await consents(of: [profile])[profile] ?? [] {
            let at = SegmentDecider.instant(of: consent)
            events.insert((at, consent), at: events.firstIndex { $0.at > at } ?? events.endIndex)
        }
        // What others told of an account counts from when the profile belonged to it.
        for told in try await accountEvents(of: [profile])[profile] ?? [] {
            let joined = events.firstIndex { $0.event.groupID == told.groupID } ?? events.endIndex
            let later = events.firstIndex { $0.at > told.timestamp } ?? events.endIndex
            events.insert((told.timestamp, told), at: max(later, min(joined + 1, events.endIndex)))
        }
        return events.map(\.event)
    }

    /// Ends all memberships of a profile that is no more.
    private mutating func leave(
        _ profile: ProfileID, at instant: Instant, cause: Cause, _ traceparent: String?
    ) {
        if case .state(var state) = states[profile] {
            note(decider.leaveAll(&state, at: instant, cause: cause, of: profile), traceparent)
        }
        touched.insert(profile)
    }

    /// Erases a profile: it leaves everything, and nothing of it stays.
    mutating func erase(_ profile: ProfileID, at instant: Instant) {
        leave(profile, at: instant, cause: .erasure, nil)
        states[profile] = .fresh
        erased.insert(profile)
    }

    // MARK: Time

    /// Lets a profile's deadlines fire up to an instant.
    mutating func advance(_ profile: ProfileID, to instant: Instant) {
        guard case .state(var state) = states[profile] else { return }
        note(decider.advance(&state, to: instant, of: profile), nil)
        keep(state, of: profile)
        // Its row was due, so it is written even if the state's own deadline has not changed.
        deadlines[profile] = nil
    }

    // MARK: Definitions

    /// Brings states of older rules up to those in force, from exactly the facts that they include.
    mutating func refresh() async throws {
        var stale: [ProfileID: ProfileState] = [:]
        for case (let id, .state(let state)) in states where !decider.isCurrent(state) {
            if decider.isOfThese(state) {
                // Nothing of it changes but what it is called, which is written when something else is.
                var same = state
                _ = decider.refresh(&same, with: [], now: now, of: id)
                states[id] = .state(same)
            } else if decider.needsHistory(state) {
                stale[id] = state
            } else {
                refresh(id, state, with: decider.history(for: state, now: now))
            }
        }
        guard !stale.isEmpty else { return }
        var histories = stale.mapValues { decider.history(for: $0, now: now) }
        // Those that are behind alike need the same; where one needs everything, all of it is read.
        var wanted: [WantedEvents]? = []
        for events in Set(histories.values.map(\.events)) {
            wanted = wanted.flatMap { all in events.map { all + $0 } }
        }
        let merged = try await StateStore.merged(into: stale.keys, in: transaction)
        try await TimelineReading.each(of: stale.keys, wanted: wanted, vault: vault, in: transaction) {
            id, entry in
            // Of another profile only if that one is merged as far as the facts have been read. What is its own may stand
            // under one that it has been parted from.
            let owners = [entry.key, entry.arrivedUnder]
            guard owners.contains(where: { $0 == id || merged.contains($0) }),
                stale[id]?.includes(offset: entry.offset, of: entry.shard) == true
            else { return }
            histories[id]?.take(entry.event)
        }
        for (id, decisions) in try await consents(of: stale.keys) {
            for decision in decisions { histories[id]?.take(decision) }
        }
        for (id, events) in try await accountEvents(of: stale.keys) {
            for event in events { histories[id]?.take(event) }
        }
        for (id, state) in stale.sorted(by: { $0.key < $1.key }) {
            refresh(id, state, with: histories[id] ?? decider.history(for: state, now: now))
        }
    }

    private mutating func refresh(_ id: ProfileID, _ old: ProfileState, with history: HistoryFold) {
        var state = old
        note(decider.refresh(&state, with: history, now: now, of: id), nil)
        keep(state, of: id)
        // The next rule of a segment that is gone may have been in force for a moment.
        untold += old.differences.filter { $0.value && state.segments[$0.key]?.isMember != true }
            .map { (id, $0.key) }
        if old.nextStage?.id != nil, state.stage == nil { untoldStages.append(id) }
    }

    // MARK: Writing

    /// Sorts the changes by their instants; for work whose profiles were not taken in the order of time.
    mutating func sortChanges() {
        changes = changes.enumerated()
            .sorted { ($0.element.change.at, $0.offset) < ($1.element.change.at, $1.offset) }
            .map(\.element)
        stages = stages.enumerated()
            .sorted { ($0.element.change.at, $0.offset) < ($1.element.change.at, $1.offset) }
            .map(\.element)
    }

    /// Writes states, deadlines, memberships and the stream.
    func write() async throws {
        guard !touched.isEmpty else {
            // Calls of those who are somebody else by now may tell of accounts all the same.
            return try await writeAccounts()
        }
        let ids = touched.subtracting(erased).sorted()
        var written: [(ProfileID, ProfileState?)] = []
        var due: [(ProfileID, Instant?)] = []
        for id in ids {
            guard let stored = states[id] else { continue }
            var deadline: Instant?
            if case .state(let state) = stored {
                written.append((id, state))
                deadline = decider.nextDeadline(state)
            } else {
                written.append((id, nil))
            }
            if let before = deadlines[id], before == deadline { continue }
            due.append((id, deadline))
        }
        try await writeAccounts()
        let forgotten = ids.reduce(0) { sum, id in
            if case .state(let state)? = states[id] { sum + state.forgotten } else { sum }
        }
        if forgotten > 0 {
            Counter(label: "martlet_segmentation_forgotten_events_total").increment(by: forgotten)
        }
        let key = try await vault.days.key(at: now)
        var statements = [StateLayouts.write(decider.set)]
        statements += try StateStore.writes(written, under: key)
        statements += StateStore.writes(deadlines: due)
        if !erased.isEmpty { statements += Erasure.statements(Array(erased)) }
        if !untold.isEmpty { statements.append(DifferenceStore.delete(untold, from: "profiles.membership")) }
        if !untoldStages.isEmpty {
            statements.append(StateStore.delete(untoldStages, from: "profiles.stage"))
        }
        statements += try MembershipStore.writes(changes.map(\.change), under: key)
        statements += try StageStore.writes(stages.map(\.change), under: key)
        let kept = self.kept.filter { !erased.contains($0.profile) }
        if !kept.isEmpty { statements += try KeptEvidence.write(kept, under: key) }
        let new = newDifferences(of: ids)
        statements += DifferenceStore.writes(
            from: differences.filter { touched.contains($0.key) }, to: new.segments)
        statements += DifferenceStore.writes(
            from: nextStages.filter { touched.contains($0.key) }, to: new.stages)
        // Of memberships that go on nobody entered or left.
        statements += SegmentHourStore.writes(
            changes.enumerated().filter { !restated.contains($0.offset) }.map(\.element.change))
        _ = try await transaction.pipeline(statements)
        if !erased.isEmpty {
            try await Erasure.bareChanges(of: Array(erased), at: now, vault: vault, in: transaction)
        }
        try await append()
        if due.contains(where: { $0.1 != nil }) {
            try await DeadlineSweeper.notify(schema: ServiceName.segmentation.schema, in: transaction)
        }
    }

    /// What next rules will change for the profiles.
    private func newDifferences(
        of ids: [ProfileID]
    ) -> (segments: DifferenceStore.Differences, stages: [ProfileID: ProfileState.NextStage]) {
        var new: (segments: DifferenceStore.Differences, stages: [ProfileID: ProfileState.NextStage]) =
            ([:], [:])
        guard decider.set.hasNext else { return new }
        for id in ids {
            guard case .state(let state)? = states[id] else { continue }
            let found = state.differences
            if !found.isEmpty { new.segments[id] = found }
            new.stages[id] = state.nextStage
        }
        return new
    }

    private func append() async throws {
        let records = changes.enumerated().filter { !restated.contains($0.offset) }.map { _, told in
            var (change, traceparent) = told
            // Of somebody who is being erased only the bare exit is told.
            if erased.contains(change.profileID) { change.evidence = Erasure.evidence }
            return NewRecord(.changed(change), traceparent)
        }
        let moves = stages.filter(\.isTold).map { told in
            var change = told.change
            if erased.contains(change.profileID) { change.evidence = Erasure.evidence }
            return NewRecord(.stage(change), told.traceparent)
        }
        // After all that was changed by the same fact.
        let told = histories.map { NewRecord(.unmerged($0.history), $0.traceparent) }
        try await StreamWriter(.memberships, sealing: vault.days)
            .append(records + moves + told, at: now, in: transaction)
    }

    // MARK: States

    /// The state of a profile, a new one if it was not known; nil if it was merged into another.
    private func state(of profile: ProfileID) -> ProfileState? {
        switch states[profile] {
        case .state(let state): state
        case .fresh, nil: decider.newState()
        case .merged: nil
        }
    }

    mutating func keep(_ state: ProfileState, of profile: ProfileID) {
        states[profile] = .state(state)
        touched.insert(profile)
        erased.remove(profile)
    }

    /// Takes in what was decided; `restated` if it is no change. What next rules say is nobody's business yet.
    mutating func note(
        _ new: [MembershipChange], _ traceparent: String?, restated isRestated: Bool = false
    ) {
        for var change in new where SegmentDefinition.isValid(id: change.segment) {
            // It is written twice, and what it is made from may be let go of.
            change.settle()
            keepEvidence(&change.evidence, of: change.profileID)
            if isRestated { restated.insert(changes.count) }
            changes.append((change, traceparent))
        }
        for var step in StageMoves.steps(in: new) {
            keepEvidence(&step.evidence, of: step.profileID)
            stages.append((step, traceparent, !isRestated && step.stage != step.previous))
        }
    }
}

extension MembershipWork {
    private mutating func keepEvidence(_ evidence: inout JSON, of profile: ProfileID) {
        if let large = KeptEvidence(&evidence, of: profile, at: now) { kept.append(large) }
    }
}

extension NewRecord {
    fileprivate init(_ fact: MembershipFact, _ traceparent: String?) {
        self.init(
            shard: Shard(fact.profileID), key: fact.profileID.description, body: fact.json,
            traceparent: traceparent)
    }
}
