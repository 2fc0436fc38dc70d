import ConsentDomain
import Models

/// What people's own pages say, in one language.
struct PageTexts: Sendable {
    /// The version of these texts, which the ledger cites for what they alone say: channels and how often.
    static let version = "preference-centre-1"

    /// The language's own name.
    let name: String
    let languages: String
    let months: [String]
    /// A date from its day, the name of its month and its year.
    let date: @Sendable (Int64, String, Int64) -> String

    // What is seen.
    let title: String
    let introduction: String
    let purposes: String
    let purposesHint: String
    let noPurposes: String
    let agreedOn: @Sendable (String) -> String
    let until: @Sendable (String) -> String
    let expiredOn: @Sendable (String) -> String
    let withdrawnOn: @Sendable (String) -> String
    let neverAsked: String
    let legitimateInterest: String
    let sharedWith: @Sendable (String) -> String
    let always: String
    let alwaysHint: String
    let channels: String
    let channelsHint: String
    let channelNames: [String: String]
    let frequency: String
    let frequencyHint: String
    let asItComes: String
    let frequencies: @Sendable (ContactFrequency) -> String
    let save: String

    let unsubscribe: String
    let unsubscribeHint: String
    let unsubscribeButton: String
    let data: String
    let dataHint: String
    let dataButton: String
    let erasure: String
    let erasureHint: String
    let erasureButton: String
    let eraseTitle: String
    let eraseWarning: String
    let eraseUnderstood: String
    let eraseConfirm: String
    let eraseMissing: String
    let back: String

    let requests: String
    let request: @Sendable (PrivacyRequestKind) -> String
    let state: @Sendable (PrivacyRequestLifecycle.State) -> String
    let requestLine: @Sendable (_ received: String, _ due: String) -> String
    let reference: String

    // What is answered.
    let saved: String
    let unsubscribed: String
    let dataFiled: String
    let erasureFiled: String
    let beingErased: String
    let outdated: String
    let refusedTitle: String
    let refused: String
    let mistakeTitle: String
    let mistake: String
    let laterTitle: String
    let later: String

    static func of(_ language: PageLanguage) -> PageTexts {
        switch language {
        case .english: english
        case .german: german
        case .french: french
        case .spanish: spanish
        }
    }

    /// A day as it is written, in UTC.
    func day(_ instant: Instant) -> String {
        let length: Int64 = 86_400_000
        let days = (instant.milliseconds - (instant.milliseconds % length + length) % length) / length
        let date = CivilDate(daysSinceEpoch: days)
        return self.date(date.day, months[Int(date.month) - 1], date.year)
    }
}
