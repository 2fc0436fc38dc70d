import JourneysDomain
import Models

/// A plain simulator of one journey for one profile, written from the promises and not from the decider: it
/// unfolds the definition into numbered instructions, keeps every fact ever applied, and looks things up by
/// going through all of them.
struct JourneyOracle {
    private indirect enum Code {
        case wait(Duration)
        case waitFor([String: JSON], Duration)
        case send(String)
        case branch([(condition: JSON, target: Int)], otherwise: Int)
        case split(label: String, [(weight: UInt64, target: Int)])
        case jump(Int)
        case exit(String)
    }

    private struct Applied {
        var fact: JourneyFact
        var at: Instant
        /// How many facts were applied before it.
        var index: Int
    }

    private struct Passage {
        var enteredAt: Instant
        var triggerKey: String
        var firstFact: Int
        var clock: Instant
        var endedAt: Instant?
        var at = 0
        var waitingSince: Instant?
        var due: Instant?
        var used: Set<String> = []
        var chosen: [String: Int] = [:]
    }

    private let id: String
    private let definition: JSON
    private let traits: [String: JSON]
    private var code: [Code] = []
    private var labels: [String: Int] = [:]
    private var applied: [Applied] = []
    private var passages: [Passage] = []
    private(set) var log: [String] = []

    init(id: String, definition: JSON, traits: [String: JSON]) {
        self.id = id
        self.definition = definition
        self.traits = traits
        // Twice: the first time finds out where the labels are.
        for _ in 0..<2 {
            code = []
            emit(definition["steps"]?.array ?? [])
            code.append(.exit("completed"))
        }
    }

    mutating func run(_ actions: [TestAction]) {
        for action in actions {
            switch action {
            case .restart: break
            case .sweep(let now): fire(through: now)
            case .fact(let fact, let now): apply(fact, at: min(fact.at, now), now: now)
            }
        }
    }

    // MARK: Unfolding

    private mutating func emit(_ steps: [JSON]) {
        for step in steps {
            if let label = step["label"]?.string { labels[label] = code.count }
            if let wait = step["wait"] {
                if let text = wait["for"]?.string {
                    code.append(.wait(Duration(text: text) ?? .zero))
                } else {
                    var pattern = wait.object ?? [:]
                    pattern["event"] = pattern["untilEvent"]
                    code.append(.waitFor(pattern, Duration(text: wait["timeout"]?.string ?? "") ?? .zero))
                }
            } else if let send = step["send"] {
                code.append(.send(send["template"]?.string ?? ""))
            } else if let label = step["goto"]?.string {
                code.append(.jump(labels[label] ?? 0))
            } else if let exit = step["exit"] {
                code.append(.exit(exit["reason"]?.string ?? ""))
            } else if let branch = step["branch"] {
                let cases = branch["cases"]?.array ?? []
                let ways = emitWays(cases.map { $0["then"]?.array ?? [] } + [branch["default"]?.array ?? []])
                code[ways.place] = .branch(
                    zip(cases, ways.targets).map { ($0["when"] ?? .null, $1) },
                    otherwise: ways.targets.last ?? 0)
            } else if let split = step["split"] {
                let variants = split["variants"]?.array ?? []
                let ways = emitWays(variants.map { $0["then"]?.array ?? [] })
                code[ways.place] = .split(
                    label: step["label"]?.string ?? "",
                    zip(variants, ways.targets).map { (UInt64($0["weight"]?.integer ?? 0), $1) })
            }
        }
    }

    private mutating func emitWays(_ blocks: [[JSON]]) -> (place: Int, targets: [Int]) {
        let place = code.count
        code.append(.jump(0))
        var targets: [Int] = []
        var ends: [Int] = []
        for block in blocks {
            targets.append(code.count)
            emit(block)
            ends.append(code.count)
            code.append(.jump(0))
        }
        for end in ends { code[end] = .jump(code.count) }
        return (place, targets)
    }

    // MARK: Simulating

    private var running: Int? { passages.indices.last { passages[$0].endedAt == nil } }

    private mutating func fire(through instant: Instant) {
        while let index = running, let due = passages[index].due, due <= instant {
            passages[index].clock = max(passages[index].clock, due)
            proceed(index)
        }
    }

    private mutating func apply(_ fact: JourneyFact, at: Instant, now: Instant) {
        fire(through: at)
        applied.append(Applied(fact: fact, at: at, index: applied.count))
        if let index = running {
            let passage = passages[index]
            let isExit = (definition["exits"]?.array ?? []).contains { matches($0, fact) }
            if isExit, at >= passage.enteredAt, key(fact, at) != passage.triggerKey {
                passages[index].clock = max(passage.clock, at)
                if case .event = fact.body { end(index, "event") } else { end(index, "segment") }
            } else if case .waitFor(let pattern, _) = code[passage.at], case .event(let event) = fact.body,
                matches(.object(pattern), fact), at >= passage.waitingSince ?? .distantFuture,
                event.messageID != passage.triggerKey, !passage.used.contains(event.messageID)
            {
                passages[index].clock = max(passage.clock, at)
                passages[index].used.insert(event.messageID)
                proceed(index)
            }
        }
        consider(fact, at: at, now: now)
    }

    private mutating func consider(_ fact: JourneyFact, at: Instant, now: Instant) {
        let entry = definition["entry"] ?? .null
        let key = key(fact, at)
        guard matches(entry, fact), !passages.contains(where: { $0.triggerKey == key }) else { return }
        let oldest = Duration(text: entry["maxTriggerAge"]?.string ?? "24h") ?? .zero
        let lastEntry = passages.map(\.enteredAt).max()
        let lastEnd = passages.compactMap(\.endedAt).max()
        let exited = (definition["exits"]?.array ?? []).contains { hasExited($0, since: at) }
        if now - at > oldest {
            log.append("refuse tooOld \(at)")
        } else if running != nil {
            log.append("refuse alreadyRunning \(at)")
        } else if let lastEntry, entry["reentry"] == nil || entry["reentry"] == "once",
            lastEntry <= .distantFuture
        {
            log.append("refuse alreadyEntered \(at)")
        } else if let lastEntry,
            let pause = entry["reentry"]?["after"]?.string.flatMap({ Duration(text: $0) }),
            at - lastEntry < pause
        {
            log.append("refuse tooSoon \(at)")
        } else if let lastEnd, at < lastEnd {
            log.append("refuse beforePreviousEnd \(at)")
        } else if exited {
            log.append("refuse exitAlreadyHappened \(at)")
        } else {
            log.append("enter \(at)")
            passages.append(Passage(enteredAt: at, triggerKey: key, firstFact: applied.count, clock: at))
            step(passages.count - 1)
        }
    }

    private func hasExited(_ exit: JSON, since instant: Instant) -> Bool {
        if exit["event"] != nil { return applied.contains { $0.at > instant && matches(exit, $0.fact) } }
        let changes = applied.filter { segment($0.fact) == exit["segmentExited"]?.string }
        guard let last = changes.max(by: { ($0.at, $0.index) < ($1.at, $1.index) }) else { return false }
        return last.at > instant && !entered(last.fact)
    }

    /// Leaves the wait where it stands.
    private mutating func proceed(_ index: Int) {
        passages[index].due = nil
        passages[index].waitingSince = nil
        passages[index].at += 1
        step(index)
    }

    private mutating func step(_ index: Int) {
        while passages[index].endedAt == nil, passages[index].due == nil {
            let now = passages[index].clock
            switch code[passages[index].at] {
            case .wait(let length), .waitFor(_, let length):
                passages[index].waitingSince = now
                passages[index].due = now + length
            case .send(let template):
                log.append("send \(template) \(now)")
                passages[index].at += 1
            case .jump(let target): passages[index].at = target
            case .exit(let reason): end(index, reason)
            case .branch(let cases, let otherwise):
                passages[index].at = cases.first { holds($0.condition, passages[index]) }?.target ?? otherwise
            case .split(let label, let variants):
                passages[index].at = variants[choose(label, variants, &passages[index])].target
            }
        }
    }

    private func choose(
        _ label: String, _ variants: [(weight: UInt64, target: Int)], _ passage: inout Passage
    )
        -> Int
    {
        if let chosen = passage.chosen[label] { return chosen }
        let hash = UInt128(StableHash.hash64(id, RandomHistory.profile.description, label))
        var point = UInt64((hash * UInt128(variants.reduce(0) { $0 + $1.weight })) >> 64)
        var chosen = 0
        while point >= variants[chosen].weight {
            point -= variants[chosen].weight
            chosen += 1
        }
        passage.chosen[label] = chosen
        return chosen
    }

    private mutating func end(_ index: Int, _ reason: String) {
        passages[index].endedAt = passages[index].clock
        passages[index].due = nil
        log.append("exit \(reason) \(passages[index].clock)")
    }

    // MARK: Asking

    private func holds(_ condition: JSON, _ passage: Passage) -> Bool {
        if let trait = condition["trait"]?.string { return traits[trait] == condition["equals"] }
        if let name = condition["segment"]?.string {
            let changes = applied.filter { segment($0.fact) == name }
            return changes.max { ($0.at, $0.index) < ($1.at, $1.index) }.map { entered($0.fact) } ?? false
        }
        return applied.contains { one in
            guard matches(condition, one.fact), key(one.fact, one.at) != passage.triggerKey else {
                return false
            }
            return one.index >= passage.firstFact ? one.at >= passage.enteredAt : one.at > passage.enteredAt
        }
    }

    private func matches(_ pattern: JSON, _ fact: JourneyFact) -> Bool {
        switch fact.body {
        case .event(let event):
            guard pattern["event"]?.string == event.name else { return false }
            return (pattern["where"]?.array ?? []).allSatisfy { filter in
                let value = event.properties["n"]?.integer ?? 0
                if let wanted = filter["equals"]?.integer { return value == wanted }
                return value >= filter["atLeast"]?.integer ?? 0
            }
        case .segment(let change):
            if let name = pattern["segmentExited"]?.string {
                return change.change == .exited && change.segment == name
            }
            // Only an entry rule names a segment here.
            return change.change == .entered && change.segment == pattern["segment"]?.string
        }
    }

    private func key(_ fact: JourneyFact, _ at: Instant) -> String {
        switch fact.body {
        case .event(let event): event.messageID
        case .segment(let change): "\(change.change) \(change.segment) \(at)"
        }
    }

    private func segment(_ fact: JourneyFact) -> String? {
        if case .segment(let change) = fact.body { change.segment } else { nil }
    }

    private func entered(_ fact: JourneyFact) -> Bool {
        if case .segment(let change) = fact.body { change.change == .entered } else { false }
    }
}
