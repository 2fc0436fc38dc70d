import ConsentDomain
import Models
import Testing

@Suite("What events say of purposes")
struct EventSignalsTests {
    private static let at = Instant(milliseconds: 1_700_000_000_000)

    private var policy: ConsentPolicy {
        var ads = Purpose(id: "ads", name: "Ads", legalBasis: .consent, textVersion: "1")
        ads.isSaleOrSharing = true
        (ads.signals.tcfPurposes, ads.signals.consentMode) = ([1, 3], [.adStorage, .adUserData])
        var sale = Purpose(id: "sale", name: "Sale", legalBasis: .legitimateInterest, textVersion: "1")
        sale.isSaleOrSharing = true
        sale.signals.gpp = [.sale, .sharing]
        let plain = Purpose(id: "news", name: "News", legalBasis: .consent, textVersion: "1")
        return ConsentPolicy(purposes: [ads, sale, plain])
    }

    private func said(_ consent: JSON) -> [String: EventSignals.Said] {
        let event = TrackingEvent(
            messageID: "m", kind: .page, timestamp: Self.at, receivedAt: Self.at,
            sourceID: SourceID(UUIDv7.make(at: Self.at)), context: ["consent": consent])
        return Dictionary(uniqueKeysWithValues: EventSignals(event, policy).said.map { ($0.purpose, $0) })
    }

    private func words(_ consent: JSON) -> [String: String] {
        said(consent).mapValues { "\($0.action.rawValue) by \($0.kind.rawValue)" }
    }

    @Test("each signal says what the policy calls by its names, and where signals disagree the no counts")
    func meaning() {
        let string = "COvFyGBOvFyGBAbAAAENAPCAAOAAAAAAAAAAAEEUACCKAAA"
        #expect(words([:]).isEmpty)
        #expect(words("x").isEmpty)
        #expect(words(["tcString": .string(string)]) == ["ads": "grant by tcf"])
        #expect(
            words(["tcString": .string(string), "globalPrivacyControl": true]) == [
                "ads": "withdraw by gpc", "sale": "withdraw by gpc",
            ])
        #expect(words(["globalPrivacyControl": "true"]).isEmpty)
        #expect(
            words(["tcString": .string(string), "categoryPreferences": ["ads": false, "news": true]]) == [
                "ads": "withdraw by preferences", "news": "grant by preferences",
            ])
        #expect(words(["gppString": "DBABLA~BVQqAAAAAAA"]) == ["sale": "grant by gpp"])
        #expect(words(["gppString": "DBABLA~BAAEAAAAAAA.QA"]) == ["sale": "withdraw by gpp"])
        #expect(
            words(["gppString": .string("DBACNY~\(string)~1YNN")]) == ["ads": "grant by gpp"])
    }

    @Test("what can't be read is a no to everything that it could have been about")
    func unreadable() {
        #expect(words(["tcString": "nonsense"]) == ["ads": "withdraw by tcf"])
        #expect(words(["tcString": 1]) == ["ads": "withdraw by tcf"])
        #expect(words(["tcString": .null]).isEmpty)
        #expect(
            words(["gppString": "nonsense"]) == ["ads": "withdraw by gpp", "sale": "withdraw by gpp"])
    }

    @Test("Google's types must all be granted, and one that isn't said is none")
    func consentMode() {
        #expect(
            words(["consentMode": ["ad_storage": "granted", "ad_user_data": "granted"]]) == [
                "ads": "grant by consent-mode"
            ])
        for states: JSON in [
            ["ad_storage": "granted", "ad_user_data": "denied"], ["ad_storage": "granted"],
            ["ad_storage": "granted", "ad_user_data": "Granted"],
        ] {
            #expect(words(["consentMode": states]) == ["ads": "withdraw by consent-mode"])
        }
        #expect(words(["consentMode": ["analytics_storage": "denied"]]).isEmpty)
    }
}
