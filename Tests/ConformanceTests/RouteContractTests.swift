import Foundation
import Models
import ServiceKit
import TestSupport
import Testing

@Suite(
    "What routes touch", .enabled(if: TestDatabase.isAvailable, "\(TestDatabase.howToEnable)"),
    .timeLimit(.minutes(5)))
struct RouteContractTests {
    @Test(
        "every route that asks for a scope says what it touches, and its contract says the same",
        arguments: PrivacyContractTests.services.indices)
    func touches(index: Int) async throws {
        let definition = PrivacyContractTests.services[index]
        let database = try await TestDatabase.make(services: PrivacyContractTests.services)
        try await ServiceHarness.with(
            definition, database: database, clock: SimulatedClock(PrivacyContractTests.start), workers: false
        ) { service in
            let drift = try OpenAPIContract.drift(file: definition.openAPI, routes: service.routes)
            #expect(drift == [])
            for route in service.routes {
                guard case .scope = route.access else { continue }
                #expect(route.touches != nil, "\(route.method) \(route.path) says nothing of what it touches")
            }
        }
    }
}
