package import Models

/// What stands of people's purposes when a device is heard for the first time.
///
/// A device says with every event what was once chosen on it. The first that is heard of it may be of long ago: it is new
/// where it is heard by another kind of signal than before, or when somebody signs in. So a yes of that kind must not undo
/// what the person has said since.
package struct StandingWords: Sendable {
    private var words: [ProfileID: [String: ConsentWord]]

    /// By the profiles that people are now.
    package init(_ words: [ProfileID: [String: ConsentWord]] = [:]) { self.words = words }

    /// Takes in what was decided meanwhile.
    package mutating func take(_ word: ConsentWord, of purpose: String, by person: ProfileID) {
        if let known = words[person]?[purpose], !word.prevails(over: known) { return }
        words[person, default: [:]][purpose] = word
    }

    /// Whether a report counts that is the first of its device: a no always does; a yes where nothing stands, or where the
    /// signal says that it was chosen after what stands.
    package func admits(first report: PreferenceReport, of person: ProfileID) -> Bool {
        guard report.action == .grant, let standing = words[person]?[report.key.purpose] else { return true }
        return report.chosenAt.map { $0 > standing.at } ?? false
    }
}
