import Models

/// Which of some conditions an event may change: most are found by the event's kind and name alone.
struct EventIndex: Sendable {
    private var byName: [NamedKind: [Int]] = [:]
    private var byKind: [TrackingEvent.Kind: [Int]] = [:]
    private var byTrait: [String: [Int]] = [:]
    private var byIdentifier: [String: [Int]] = [:]
    private var byContext: [String: [Int]] = [:]
    private var byAccount: [String: [Int]] = [:]
    private var byPurpose: [String: [Int]] = [:]

    private struct NamedKind: Hashable {
        let kind: TrackingEvent.Kind
        let name: String
    }

    init(_ conditions: [any LeafOperator]) {
        for (slot, condition) in conditions.enumerated() { add(slot, for: condition.interest) }
        // The conditions by name and by kind together, ready to be handed out.
        for (named, own) in byName { byName[named] = Set(own + (byKind[named.kind] ?? [])).sorted() }
    }

    private mutating func add(_ slot: Int, for interest: Interest) {
        switch interest {
        case .trait(let name): byTrait[name, default: []].append(slot)
        case .identifier(let type): byIdentifier[type, default: []].append(slot)
        case .context(let name): byContext[name, default: []].append(slot)
        case .account(let name): byAccount[name, default: []].append(slot)
        case .consent(let purpose): byPurpose[purpose, default: []].append(slot)
        case .references: break
        case .selectors(let selectors):
            for selector in selectors {
                guard let names = selector.names else {
                    add(slot, to: &byKind[selector.kind, default: []])
                    continue
                }
                for name in names {
                    add(slot, to: &byName[NamedKind(kind: selector.kind, name: name), default: []])
                }
            }
        }
    }

    private func add(_ slot: Int, to list: inout [Int]) {
        if list.last != slot { list.append(slot) }
    }

    /// The purposes of which decisions about consent may change a condition.
    var purposes: Set<String> { Set(byPurpose.keys) }

    /// The traits of accounts that a condition asks for.
    var accountTraits: Set<String> { Set(byAccount.keys) }

    /// The conditions that an event may change, in ascending order, each once.
    func slots(for event: TrackingEvent) -> [Int] {
        if let consent = event.consent { return byPurpose[consent.purpose] ?? [] }
        if let account = event.account, account.isAll {
            return Set(account.traits.keys.flatMap { byAccount[$0] ?? [] }).sorted()
        }
        let named = event.name.flatMap { byName[NamedKind(kind: event.kind, name: $0)] }
        let usual = named ?? byKind[event.kind] ?? []
        var others: [Int] = []
        if event.kind == .identify, !byTrait.isEmpty {
            for name in event.traits.keys { others += byTrait[name] ?? [] }
        }
        if event.kind == .group, !byAccount.isEmpty {
            if let account = event.account {
                for name in account.traits.keys { others += byAccount[name] ?? [] }
            } else {
                for name in event.traits.keys { others += byAccount[name] ?? [] }
            }
        }
        if !byIdentifier.isEmpty {
            for type in Known.types(in: event) { others += byIdentifier[type] ?? [] }
        }
        if !byContext.isEmpty {
            for name in event.context.keys { others += byContext[name] ?? [] }
        }
        return others.isEmpty ? usual : Set(usual + others).sorted()
    }
}
