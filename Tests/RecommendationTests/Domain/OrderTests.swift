import Foundation
import Models
import RecommendationDomain
import Testing

@Suite("Orders and what people have")
struct OrderTests {
    private func at(_ seconds: Int64) -> Instant {
        Instant(milliseconds: 1_700_000_000_000 + seconds * 1_000)
    }

    private func placement(_ lines: [String: Int], at seconds: Int64 = 0, _ id: String = "m")
        -> Order.Placement
    {
        Order.Placement(at: at(seconds), messageID: id, lines: lines)
    }

    @Test("a refund takes back its quantities, wherever it comes in the sequence")
    func refund() {
        var order = Order(key: "o")
        order.apply(Order.Refund(at: at(9), lines: ["a": 1, "b": 5, "never": 1]), messageID: "r")
        order.apply(placement(["a": 2, "b": 5, "c": 1]))
        order.apply(Order.Refund(at: at(9), lines: ["a": 1, "b": 5, "never": 1]), messageID: "r")
        #expect(order.kept == ["a": 1, "c": 1])
        order.apply(Order.Refund(at: at(10), lines: nil), messageID: "all")
        #expect(order.kept.isEmpty)
    }

    @Test("of two reports of one order the later counts")
    func reported() {
        var order = Order(key: "o")
        order.apply(placement(["b": 1], at: 5, "m2"))
        order.apply(placement(["a": 1], at: 1, "m1"))
        #expect(order.kept == ["b": 1])
        order.apply(placement(["c": 1], at: 5, "m3"))
        #expect(order.kept == ["c": 1])
    }

    @Test(
        "an order ends in the same state whatever the sequence, is merged without loss, and survives storage")
    func anySequence() throws {
        var generator = seededGenerator()
        for _ in 0..<500 {
            var changes: [(inout Order) -> Void] = []
            for index in 0..<Int.random(in: 1...6, using: &generator) {
                let lines = Dictionary(
                    (0..<3).map { _ in
                        (
                            ["a", "b", "c"][Int.random(in: 0..<3, using: &generator)],
                            Int.random(in: 1...3, using: &generator)
                        )
                    }, uniquingKeysWith: { $1 })
                let when = Int64.random(in: 0...3, using: &generator)
                if Bool.random(using: &generator) {
                    let placement = placement(lines, at: when, "m\(index)")
                    changes.append { $0.apply(placement) }
                } else {
                    let refund = Order.Refund(
                        at: at(when), lines: Int.random(in: 0...5, using: &generator) == 0 ? nil : lines)
                    changes.append { $0.apply(refund, messageID: "m\(index)") }
                }
            }
            var straight = Order(key: "o")
            for change in changes { change(&straight) }
            var shuffled = Order(key: "o")
            for change in changes.shuffled(using: &generator) { change(&shuffled) }
            #expect(straight == shuffled)
            var (left, right) = (Order(key: "o"), Order(key: "o"))
            for change in changes {
                if Bool.random(using: &generator) { change(&left) } else { change(&right) }
            }
            left.absorb(right)
            #expect(left == straight)
            #expect(try Order(key: "o", json: JSONParser.parse(straight.json.compact)) == straight)
        }
    }

    @Test("a person has what their profiles bought, each order once, less what was given back")
    func possessions() {
        let first = Order(key: "1", placement: placement(["a": 1, "b": 2], at: 0))
        let copy = Order(key: "1", placement: placement(["a": 1, "b": 2], at: 0))
        // A credit note under a number of its own, for something bought before.
        let note = Order(key: "C1", refunds: ["r": Order.Refund(at: at(5), lines: ["a": 1, "b": 1])])
        let possessions = Possessions(orders: [first, copy, note])
        #expect(possessions.quantities == ["b": 1])
        #expect(possessions.newestFirst == ["b"])
    }

    @Test("a credit note for something bought before the records begin does not hide a later purchase")
    func noteBeforeRecords() {
        let note = Order(key: "C1", refunds: ["r": Order.Refund(at: at(1), lines: ["a": 7])])
        let later = Order(key: "1", placement: placement(["a": 1], at: 2))
        #expect(Possessions(orders: [later, note]).quantities == ["a": 1])
    }

    @Test("possessions agree with replaying every movement by the clock")
    func possessionsOracle() {
        var generator = seededGenerator()
        for _ in 0..<500 {
            let orders = (0..<Int.random(in: 0...6, using: &generator)).map { number -> Order in
                let lines = [
                    ["a", "b", "c"][Int.random(in: 0..<3, using: &generator)]: Int.random(
                        in: 1...3, using: &generator)
                ]
                let when = Int64.random(in: 0...4, using: &generator)
                if Bool.random(using: &generator) {
                    return Order(key: "\(number)", placement: placement(lines, at: when))
                }
                return Order(key: "\(number)", refunds: ["r": Order.Refund(at: at(when), lines: lines)])
            }
            var expected: [String: Int] = [:]
            for second in Int64(0)...4 {
                for order in orders where order.placement?.at == at(second) {
                    for (sku, quantity) in order.kept { expected[sku, default: 0] += quantity }
                }
                for order in orders where order.placement == nil {
                    for refund in order.refunds.values where refund.at == at(second) {
                        for (sku, quantity) in refund.lines ?? [:] {
                            expected[sku] = max(0, (expected[sku] ?? 0) - quantity)
                        }
                    }
                }
            }
            let found = Possessions(orders: orders.shuffled(using: &generator))
            #expect(found.quantities == expected.filter { $0.value > 0 })
            #expect(Set(found.newestFirst) == Set(found.quantities.keys))
        }
    }

    @Test("something lies in the cart until it is removed or an order follows")
    func cart() {
        #expect(Interest(sku: "a", addedAt: at(5)).inCartSince(lastOrder: nil) == at(5))
        #expect(Interest(sku: "a", addedAt: at(5), removedAt: at(5)).inCartSince(lastOrder: nil) == nil)
        #expect(Interest(sku: "a", addedAt: at(5), removedAt: at(4)).inCartSince(lastOrder: at(4)) == at(5))
        #expect(Interest(sku: "a", addedAt: at(5)).inCartSince(lastOrder: at(6)) == nil)
    }

    @Test("seeds come from the cart, then from views, then from purchases, each once")
    func seeds() {
        let orders = [Order(key: "1", placement: placement(["bought": 1, "viewed": 1], at: 0))]
        let seeds = Seed.choose(
            asked: "asked",
            interests: [
                Interest(sku: "viewed", viewedAt: at(50)), Interest(sku: "old", viewedAt: at(-40 * 86_400)),
                Interest(sku: "carted", viewedAt: at(60), addedAt: at(60)),
            ], orders: orders, possessions: Possessions(orders: orders), now: at(100))
        #expect(
            seeds == [
                Seed(sku: "asked", origin: .asked), Seed(sku: "carted", origin: .cart),
                Seed(sku: "viewed", origin: .viewed), Seed(sku: "bought", origin: .bought),
            ])
    }
}
