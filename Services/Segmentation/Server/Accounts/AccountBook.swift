import Models
import Postgres
import Sealing

/// What the group calls of a batch say of accounts, put together with what was known. The accounts are locked: whoever joins
/// one either is there when a change is handed to its members, or has seen the change already.
struct AccountBook {
    private struct TraitKey: Hashable {
        let group: String
        let name: String
    }

    private struct Member: Hashable {
        let group: String
        let profile: ProfileID
    }

    private var known: [String: [String: AccountKnowledge.Told]] = [:]
    private var written: [TraitKey: AccountKnowledge.Told] = [:]
    private var members: Set<Member> = []
    /// Those of whose traits that rules ask for some are others than before.
    private var changed: Set<String> = []
    /// Those of which all members are told, whatever has changed.
    private var toldToAll: Set<String> = []
    /// The names that rules ask for.
    private var asked: Set<String> = []

    /// Of no accounts.
    static let empty = AccountBook()

    private init() {}

    /// The account that an event tells of.
    static func group(of event: TrackingEvent) -> String? {
        guard event.kind == .group, let group = event.groupID, AccountKnowledge.isID(group) else {
            return nil
        }
        return group
    }

    /// Locks the accounts that the events tell of, and reads what is known of them; besides what the events tell of, the
    /// traits of these names.
    static func open(
        for events: [TrackingEvent], asking names: Set<String>, vault: Vault,
        in transaction: PostgresTransaction
    ) async throws -> AccountBook {
        let calls = events.filter { group(of: $0) != nil }
        guard !calls.isEmpty else { return .empty }
        let groups = Set(calls.compactMap(group(of:))).sorted(by: AccountStore.order)
        try await AccountStore.lock(groups, in: transaction)
        var book = AccountBook()
        book.asked = names
        book.known = try await AccountStore.traits(
            of: groups, named: names.union(calls.flatMap(\.traits.keys)), vault: vault, in: transaction)
        return book
    }

    /// Takes in a group call that stands at a place in the timeline.
    mutating func take(_ event: TrackingEvent, at instant: Instant, under profile: ProfileID) {
        guard let group = Self.group(of: event) else { return }
        members.insert(Member(group: group, profile: profile))
        for (name, value) in event.traits where name.utf8.count <= AccountKnowledge.longestName {
            let told = AccountKnowledge.Told(
                value: value, at: instant, messageID: event.messageID, position: event.position)
            let held = known[group]?[name]
            if let held, !AccountKnowledge.Told.precedes(held, told) { continue }
            // What nobody asks for is read by the rules that will.
            if asked.contains(name), held?.value ?? .null != value {
                changed.insert(group)
                hasChanges = true
            }
            known[group, default: [:]][name] = told
            written[TraitKey(group: group, name: name)] = told
        }
    }

    /// Has all members of the account that a group call names told, also who called.
    mutating func tellAll(of event: TrackingEvent) {
        guard let group = Self.group(of: event), !asked.isEmpty else { return }
        toldToAll.insert(group)
        hasChanges = true
    }

    /// What is known of an account's traits, of those with these names.
    func known(of group: String, named names: Set<String>) -> [String: AccountKnowledge.Told] {
        (known[group] ?? [:]).filter { names.contains($0.key) }
    }

    /// Whether members other than who called have to be told.
    private(set) var hasChanges = false

    /// Whether there is anything to be written down.
    var isWritten: Bool { members.isEmpty }

    /// Forgets what has been written down, but not what is known.
    mutating func hasBeenWritten() { (written, members, changed, toldToAll) = ([:], [], [], []) }

    /// Statements that write it down.
    func writes(under key: DayKey) throws -> [SQL] {
        guard !members.isEmpty else { return [] }
        let members = members.sorted {
            $0.group != $1.group ? AccountStore.order($0.group, $1.group) : $0.profile < $1.profile
        }
        var statements = [AccountStore.write(members: members.map { ($0.group, $0.profile) })]
        let traits = written.sorted {
            $0.key.group != $1.key.group
                ? AccountStore.order($0.key.group, $1.key.group)
                : $0.key.name.precedesInUTF8($1.key.name)
        }
        if !traits.isEmpty {
            statements.append(
                try AccountStore.write(
                    traits: traits.map { ($0.key.group, $0.key.name, $0.value) }, under: key))
        }
        if !changed.isEmpty {
            let callers = Dictionary(grouping: members, by: \.group)
            statements.append(
                AccountStore.tell(
                    changed.sorted(by: AccountStore.order).compactMap { group in
                        callers[group]?.first.map { (group, $0.profile) }
                    }))
        }
        if !toldToAll.isEmpty {
            statements.append(AccountStore.tellAll(toldToAll.sorted(by: AccountStore.order)))
        }
        return statements
    }
}
