import IngestionDomain
import Models
import Testing

@testable import CommandLine

@Suite struct SimulationTests {
    private let start = Instant(milliseconds: 1_700_000_000_000)

    /// Lets a world run its days, with a mail for everybody on every day.
    private func sessions(seed: UInt64, mails: Bool = true) -> (sessions: [Session], world: World) {
        var world = World(seed: seed, shoppers: 30, days: 10, start: start)
        var sessions: [Session] = []
        for day in 0..<10 {
            for shopper in world.states.indices {
                for visit in world.nextDay(of: shopper)?.visits ?? [] {
                    sessions.append(world.session(visit))
                }
                guard mails else { continue }
                let mail = MailFacts(
                    recipient: world.states[shopper].shopper.email, subject: "Day \(day)", pixel: "p",
                    links: ["l"],
                    unsubscribe: "u")
                for reaction in world.reaction(to: mail, at: start + .days(day)) {
                    if case .buy(let seed) = reaction.kind {
                        sessions.append(world.purchase(by: shopper, seed: seed, at: reaction.at))
                    }
                }
            }
        }
        return (sessions, world)
    }

    @Test("the same seed gives the same behaviour and the same truth, another seed another")
    func deterministic() {
        let (first, world) = sessions(seed: 7)
        let (second, again) = sessions(seed: 7)
        #expect(first == second)
        #expect(world.truth.json == again.truth.json)
        #expect(first != sessions(seed: 8).sessions)
        #expect(!first.isEmpty)
    }

    @Test("the first numbers of SplitMix64 are those of the paper's reference code")
    func splitMix() {
        var random = SplitMix64(seed: 1_234_567)
        #expect(random.next() == 6_457_827_717_110_365_317)
        #expect(random.next() == 3_203_168_211_198_807_973)
    }

    @Test("every call has an id of its own, a time before the flush, and the user only after logging in")
    func calls() {
        let (sessions, world) = sessions(seed: TestSeed.value)
        var ids: Set<String> = []
        var known: Set<String> = []
        for session in sessions {
            for call in session.calls {
                let isNew = ids.insert(call["messageId"]?.string ?? "").inserted
                #expect(isNew)
                #expect(
                    (call["timestamp"]?.string).flatMap { Instant(rfc3339: $0) }.map { $0 < session.end }
                        == true)
                let device = call["anonymousId"]?.string ?? ""
                if call["type"] == "identify" { known.insert(device) }
                #expect((call["userId"] != nil) == known.contains(device))
            }
        }
        #expect(world.truth.json[path: "expected.events"]?.integer == Int64(ids.count))
    }

    @Test("the truth names as many orders, and as much money, as the events do")
    func orders() {
        let (sessions, world) = sessions(seed: TestSeed.value)
        let totals = sessions.flatMap(\.calls).filter { $0["event"] == "Order Completed" }
            .compactMap { $0[path: "properties.total"]?.string }
        #expect(totals.count == world.truth.orders.count)
        #expect(!totals.isEmpty)
        let sum = totals.compactMap { ExactDecimal($0) }.reduce(.zero, +)
        #expect(world.truth.json[path: "expected.revenue"]?.string == sum.text)
    }

    @Test("anonymous ids and addresses belong to one person each")
    func distinct() {
        let shoppers = (0..<500).map { Shopper(seed: 3, number: $0) }
        let devices = shoppers.flatMap(\.devices).map(\.anonymousID)
        #expect(Set(devices).count == devices.count)
        #expect(Set(shoppers.map(\.email)).count == shoppers.count)
        #expect(devices.allSatisfy { $0.utf8.count == 36 })
    }

    @Test("a mail's links are found through quoted-printable and multipart")
    func mail() throws {
        let text = """
            From: Shop <shop@example.com>\r
            To: =?utf-8?q?Ad=C3=A9?= <ada@example.com>\r
            Subject: Your\r
             cart\r
            List-Unsubscribe: <http://127.0.0.1:8107/t/u/abc>, <mailto:x@example.com>\r
            Content-Type: multipart/alternative; boundary="=_b"\r
            \r
            --=_b\r
            Content-Type: text/plain; charset=utf-8\r
            \r
            plain\r
            --=_b\r
            Content-Type: text/html; charset=utf-8\r
            Content-Transfer-Encoding: quoted-printable\r
            \r
            <a href=3D"http://127.0.0.1:8107/t/c/one=\r
            two">x</a><a href=3D"https://elsewhere.example">y</a>=C3=A9\r
            <img src=3D"http://127.0.0.1:8107/t/o/pix.gif" width=3D"1">\r
            --=_b--\r

            """
        let mail = try #require(MailFile(bytes: Array(text.utf8)))
        #expect(
            mail.facts
                == MailFacts(
                    recipient: "ada@example.com", subject: "Your cart",
                    pixel: "http://127.0.0.1:8107/t/o/pix.gif",
                    links: ["http://127.0.0.1:8107/t/c/onetwo"], unsubscribe: "http://127.0.0.1:8107/t/u/abc")
        )
    }
}
