import ConsentDomain
import Models
import Postgres
import ProfileStore
import Sealing
import ServiceKit
import Streams

/// Takes privacy requests in, sets the services to work, and says what has become of them; each in one transaction.
///
/// The order of locks is that of ``ConsentRecorder``: the chains of everybody concerned, then names and requests, then
/// decisions, then streams. With the chains of a person held, nobody else takes in or begins a request of the same person.
struct PrivacyDesk: Sendable {
    let profiles: ProfileStore
    let recorder: ConsentRecorder
    let requests = StreamWriter(.privacyRequests)
    let changes = StreamWriter(.privacyChanges)
    var vault: Vault { profiles.vault }

    init(profiles: ProfileStore, recorder: ConsentRecorder) {
        self.profiles = profiles
        self.recorder = recorder
    }

    /// A request as it comes.
    struct Wish: Sendable {
        var kind: PrivacyRequestKind
        var regime: PrivacyRegime
        var profileID: ProfileID
        var receivedAt: Instant
        var needsVerification: Bool
        /// How whoever passes it on knows who asks.
        var verification: String?
        var assignee: String?
        var reference: String?
        /// What is to be put right, or which purposes are objected to.
        var detail: JSON?
        /// Why it is made where nobody has asked for it.
        var reason: String?
    }

    /// What has become of a wish.
    enum Verdict: Sendable {
        case accepted(StoredPrivacyRequest)
        /// It was taken in before.
        case duplicate(StoredPrivacyRequest)
        case refused(Problem)
    }

    /// Who asks, through whom, and when.
    struct Occasion: Sendable {
        let caller: String
        let now: Instant
        let traceparent: String?
    }

    /// Takes wishes in, in their order. With `joining`, a wish of a person who has an open request of the same kind is that
    /// one.
    func receive(
        _ wishes: [Wish], joining: Bool = false, on occasion: Occasion, in transaction: PostgresTransaction
    ) async throws -> [Verdict] {
        let people = try await lock(wishes.map(\.profileID), in: transaction)
        let known = try await PrivacyRequestStore.lock(
            references: wishes.compactMap(\.reference), of: occasion.caller, in: transaction)
        let members = Array(Set(people.values.flatMap(\.memberIDs)))
        let erasing = try await PrivacyRequestStore.erasing(members, in: transaction)
        let open = joining ? try await PrivacyRequestStore.lockOpen(of: members, in: transaction) : []
        var book = Book(references: known, open: open)
        let key = try await vault.days.key(at: occasion.now)
        var verdicts: [Verdict] = []
        var begun: [Begun] = []
        for wish in wishes {
            guard let person = people[wish.profileID] else {
                verdicts.append(.refused(SubjectResolver.unknown))
                continue
            }
            if let verdict = book.known(wish, of: person, joining: joining) {
                verdicts.append(verdict)
                continue
            }
            if person.erasedAt != nil {
                verdicts.append(.refused(SubjectResolver.erased))
            } else if wish.kind.work != .erasure, !wish.kind.isImmediate,
                !erasing.isDisjoint(with: person.memberIDs)
            {
                verdicts.append(.refused(Self.beingErased))
            } else {
                let request = try Self.made(of: wish, person, on: occasion, key)
                begun.append(
                    Begun(
                        request: request, wish: wish,
                        note: try wish.verification.map {
                            try key.seal($0, at: PrivacyStepStore.place(of: request.id))
                        }))
                book.add(request)
                verdicts.append(.accepted(request))
            }
        }
        try await write(begun, on: occasion, in: transaction)
        return verdicts
    }

    /// A request that is new, with what it came from.
    private struct Begun {
        let request: StoredPrivacyRequest
        let wish: Wish
        let note: String?
    }

    /// The people of the profiles, whose requests nobody else begins until the transaction ends.
    func lock(
        _ ids: [ProfileID], in transaction: PostgresTransaction
    ) async throws -> [ProfileID: Person] {
        // Read first, so that the chains of all are taken in one go, in their order.
        let before = try await profiles.people(Array(Set(ids)), in: transaction)
        let people = try await recorder.lockPeople(
            of: Set(ids).union(before.values.flatMap(\.memberIDs)), in: transaction)
        var owners: [ProfileID: Person] = [:]
        for person in people { for member in person.memberIDs { owners[member] = person } }
        return owners
    }

    private static func made(
        of wish: Wish, _ person: Person, on occasion: Occasion, _ key: DayKey
    ) throws -> StoredPrivacyRequest {
        var lifecycle = PrivacyRequestLifecycle(
            kind: wish.kind, regime: wish.regime, receivedAt: wish.receivedAt, reason: wish.reason)
        try lifecycle.take(.begin(needsVerification: wish.needsVerification), at: occasion.now)
        if wish.kind.isImmediate, lifecycle.state == .inProgress {
            try lifecycle.take(.complete, at: occasion.now)
        }
        var request = StoredPrivacyRequest(
            id: PrivacyRequestID(UUIDv7.make(at: occasion.now)), profileID: person.profileID,
            profileIDs: person.memberIDs, lifecycle: lifecycle, requestedBy: occasion.caller,
            assignee: wish.assignee, reference: wish.reference)
        if lifecycle.state == .completed {
            request.status = .completed
            request.completedAt = occasion.now
        }
        request.detail = try wish.detail.map { try key.seal($0.compact, at: request.detailPlace) }
        return request
    }

    private func write(
        _ begun: [Begun], on occasion: Occasion, in transaction: PostgresTransaction
    ) async throws {
        guard !begun.isEmpty else { return }
        try await PrivacyRequestStore.create(begun.map(\.request), in: transaction)
        var told: [Told] = []
        for new in begun {
            told.append(Told(new.request, .received))
            switch new.request.lifecycle.state {
            case .verifying: told.append(Told(new.request, .verificationAsked))
            case .received, .refused, .cancelled: break
            case .inProgress, .completed:
                if new.note != nil { told.append(Told(new.request, .verified, note: new.note)) }
                told.append(Told(new.request, .begun))
            }
        }
        told += try await start(
            begun.filter { $0.request.lifecycle.state != .verifying }.map { ($0.request, $0.wish.detail) },
            on: occasion, in: transaction)
        try await tell(told, on: occasion, in: transaction)
    }

    static let beingErased = Problem.conflict(
        "everything known of this person is being erased on request; there will be nothing left",
        type: "erasure-under-way")
}

/// The requests that wishes may turn out to be.
private struct Book {
    private var references: [String: StoredPrivacyRequest]
    private var open: [StoredPrivacyRequest]

    init(references: [String: StoredPrivacyRequest], open: [StoredPrivacyRequest]) {
        self.references = references
        self.open = open
    }

    mutating func add(_ request: StoredPrivacyRequest) {
        if let reference = request.reference { references[reference] = request }
        if request.lifecycle.state.isOpen { open.append(request) }
    }

    func known(_ wish: PrivacyDesk.Wish, of person: Person, joining: Bool) -> PrivacyDesk.Verdict? {
        if let reference = wish.reference, let request = references[reference] {
            let isSame =
                request.kind == wish.kind && !Set(request.profileIDs).isDisjoint(with: person.memberIDs)
            return isSame
                ? .duplicate(request)
                : .refused(
                    .conflict(
                        "this reference names another request of yours; send one of its own",
                        type: "reference-used"))
        }
        // Of the others no two say the same: what is to be put right, which purposes are objected to.
        guard joining, wish.kind.work != nil else { return nil }
        return open.first {
            $0.kind == wish.kind && !Set($0.profileIDs).isDisjoint(with: person.memberIDs)
        }.map { .duplicate($0) }
    }
}
