import ConsentDomain
import Models
import Testing

@Suite("The first that is heard of a device")
struct StandingWordsTests {
    private let start = Instant(milliseconds: 1_790_000_000_000)
    private let person = ProfileID(UUIDv7.derived(at: .distantPast, from: "person"))

    @Test("a yes counts where nothing stands, or where it says that it was chosen later; a no always")
    func random() {
        var generator = seededGenerator()
        for _ in 0..<2_000 {
            let said = (0..<Int.random(in: 0...4, using: &generator)).map { _ in
                ConsentWord(
                    Bool.random(using: &generator) ? .granted : .withdrawn,
                    at: start + .seconds(Int.random(in: 0...6, using: &generator)))
            }
            var standing = StandingWords(said.first.map { [person: ["ads": $0]] } ?? [:])
            for word in said.dropFirst() { standing.take(word, of: "ads", by: person) }
            let isGrant = Bool.random(using: &generator)
            let chosenAt =
                Bool.random(using: &generator)
                ? start + .seconds(Int.random(in: 0...9, using: &generator)) : nil
            let report = PreferenceReport(
                .init(profileID: person, device: "d", purpose: "ads"), isGrant ? .grant : .withdraw,
                at: start + .seconds(8), chosenAt: chosenAt)
            let latest = said.map(\.at).max()
            let wanted =
                if !isGrant || latest == nil { true } else if let chosenAt, let latest {
                    // A time that is ahead of the event is none.
                    min(chosenAt, start + .seconds(8)) > latest
                } else { false }
            #expect(standing.admits(first: report, of: person) == wanted)
            #expect(StandingWords().admits(first: report, of: person))
        }
    }
}
