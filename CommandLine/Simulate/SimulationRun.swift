import Models
import Postgres
import ServiceKit

/// Lets the people of a world loose on an installation.
struct SimulationRun {
    let api: APIClient
    let ingestion: String
    let writeKey: String
    private(set) var world: World
    private(set) var counts = SentCounts()
    private(set) var opened = 0
    private(set) var clicked = 0
    private(set) var unsubscribed = 0
    private(set) var bought = 0
    private var agenda: [Item] = []

    init(api: APIClient, ingestion: String, writeKey: String, world: World) {
        self.api = api
        self.ingestion = ingestion
        self.writeKey = writeKey
        self.world = world
    }

    /// Something that will happen.
    private struct Item {
        let at: Instant
        let kind: Kind

        enum Kind {
            /// The day of a person begins.
            case day(Int)
            case visit(World.Visit)
            case reaction(MailReaction)
        }
    }

    /// In a rehearsal: the clock goes with the people, deadlines fire on the way, and mails are opened.
    mutating func rehearse(
        with advancer: ClockAdvancer, outbox: String, progress: (Instant) -> Void
    ) async throws {
        var folder = OutboxFolder(path: outbox)
        for shopper in world.states.indices { schedule(Item(at: world.start, kind: .day(shopper))) }
        var present = try await advancer.now()
        while true {
            let look = try await advancer.observer.drained(patience: advancer.patience)
            for mail in folder.newMails() {
                for reaction in world.reaction(to: mail, at: present) {
                    schedule(Item(at: reaction.at, kind: .reaction(reaction)))
                }
            }
            guard let next = agenda.first, next.at < world.end else { break }
            // What is due before the next visit comes first: it may bring mails, which bring reactions.
            if let due = look.earliestDeadline, advancer.rounded(due) < next.at {
                present = max(present, advancer.rounded(due))
                try await Installation.setClock(to: present, pool: advancer.pool)
                continue
            }
            agenda.removeFirst()
            try await perform(next) { end in
                guard end > present else { return present }
                present = end
                try await Installation.setClock(to: end, pool: advancer.pool)
                return present
            }
            progress(present)
        }
        try await advancer.advance(to: world.end)
    }

    /// Elsewhere: everything is sent with the times it had, and nobody waits for mails.
    mutating func replay(progress: (Instant) -> Void) async throws {
        for shopper in world.states.indices { schedule(Item(at: world.start, kind: .day(shopper))) }
        while let next = agenda.first, next.at < world.end {
            agenda.removeFirst()
            try await perform(next) { _ in nil }
            progress(next.at)
        }
    }

    private mutating func schedule(_ item: Item) {
        let index = agenda.firstIndex { $0.at > item.at } ?? agenda.endIndex
        agenda.insert(item, at: index)
    }

    /// - Parameter reach: lets the time come that is given; answers the time to put into `sentAt`.
    private mutating func perform(
        _ item: Item, reach: (Instant) async throws -> Instant?
    ) async throws {
        switch item.kind {
        case .day(let shopper):
            guard let day = world.nextDay(of: shopper) else { return }
            for visit in day.visits { schedule(Item(at: visit.at, kind: .visit(visit))) }
            schedule(Item(at: day.from + .days(1), kind: .day(shopper)))
        case .visit(let visit):
            try await flush(world.session(visit), reach: reach)
        case .reaction(let reaction):
            _ = try await reach(reaction.at)
            switch reaction.kind {
            case .open(let url):
                opened += 1
                _ = try await api.send("GET", url)
            case .click(let url):
                clicked += 1
                _ = try await api.send("GET", url)
            case .unsubscribe(let url):
                unsubscribed += 1
                world.noteUnsubscribed(reaction.shopper)
                // RFC 8058: a POST, made by the mail program.
                _ = try await api.send(
                    "POST", url, body: Array("List-Unsubscribe=One-Click".utf8),
                    contentType: "application/x-www-form-urlencoded")
            case .buy(let seed):
                bought += 1
                try await flush(
                    world.purchase(by: reaction.shopper, seed: seed, at: reaction.at), reach: reach)
            }
        }
    }

    /// Sends a session as the SDK does: at its end, in one batch, with the time of sending.
    private mutating func flush(_ session: Session, reach: (Instant) async throws -> Instant?) async throws {
        var batch: [String: JSON] = ["batch": .array(session.calls)]
        if let sentAt = try await reach(session.end) { batch["sentAt"] = .string(sentAt.rfc3339) }
        let answer = try await api.sendUntilAnswered(
            "POST", ingestion + "/v1/import", as: .writeKey(writeKey),
            body: Array(JSON.object(batch).compact.utf8),
            waiting: { StandardError.write("waiting: \($0)\n") })
        guard answer.status == 200, let items = answer.json?["items"]?.array else {
            throw CommandProblem("ingestion refused a session: \(answer.problem)")
        }
        counts.events += session.calls.count
        for item in items {
            switch item["status"]?.string {
            case "accepted": counts.accepted += 1
            case "duplicate": counts.duplicate += 1
            default:
                counts.refuse(item["messageId"]?.string ?? "?", item["reason"]?.string ?? "no reason given")
            }
        }
    }
}
