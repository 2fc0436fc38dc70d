import Models
import Testing

@testable import IdentityDomain

@Suite("What group calls say of accounts")
struct AccountChangesTests {
    private let start = Instant(milliseconds: 1_700_000_000_000)

    private func call(_ id: String, plan: JSON, at: Duration, received: Duration) -> TrackingEvent {
        TrackingEvent(
            messageID: id, kind: .group, groupID: "acme", timestamp: start + at, receivedAt: start + received,
            sourceID: SourceID(UUIDv7.make(at: start)), traits: ["plan": plan])
    }

    @Test("who has a clock that is ahead is not believed any longer than the others, whichever is read first")
    func clocks() {
        let ahead = call("a", plan: "trial", at: .days(400), received: .zero)
        let later = call("b", plan: "pro", at: .days(1), received: .days(1))
        for calls in [[ahead, later], [later, ahead]] {
            var changes = AccountChanges()
            for call in calls {
                let isTaken = changes.take(call, of: ProfileID(UUIDv7.make(at: start)))
                #expect(isTaken)
            }
            let plan = changes.traits[.init(groupID: "acme", name: "plan")]?.entry
            #expect(plan?.value == "pro" && plan?.stamp.at == start + .days(1))
            #expect(changes.members.values.allSatisfy { $0.last <= start + .days(1) })
        }
    }
}
