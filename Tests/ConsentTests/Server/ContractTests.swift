import ConsentServer
import ServiceKit
import TestSupport
import Testing

@Suite("The contract of consent", .enabled(if: TestDatabase.isAvailable, "\(TestDatabase.howToEnable)"))
struct ContractTests {
    @Test("the router and openapi/consent.yaml know the same routes")
    func drift() async throws {
        try await ConsentFixture.with { fixture in
            let drift = try OpenAPIContract.drift(
                file: consentService.openAPI, routes: fixture.service.routes)
            #expect(drift.isEmpty, "\(drift)")
        }
    }
}
