package import HTTPTypes
package import Hummingbird
import Logging
import Metrics
import Models
import NIOCore
import Streams

/// Declares a service's routes with what each asks of its caller.
///
/// Paths name their parameters in braces, as OpenAPI does: `/v1/profiles/{id}`.
package final class ServiceRouter {
    package typealias Handler = @Sendable (ServiceRequest) async throws -> ServiceResponse

    /// One route, for the test that holds the router to the OpenAPI file.
    package struct Route: Hashable, Sendable {
        package let method: HTTPRequest.Method
        package let path: String
        package let access: Access
    }

    package private(set) var routes: [Route] = []
    private var handlers: [(Route, Handler)] = []

    package init() {}

    package func get(_ path: String, scope: Scope, _ handler: @escaping Handler) {
        on(.get, path, .scope(scope), handler)
    }
    package func put(_ path: String, scope: Scope, _ handler: @escaping Handler) {
        on(.put, path, .scope(scope), handler)
    }
    package func post(_ path: String, scope: Scope, _ handler: @escaping Handler) {
        on(.post, path, .scope(scope), handler)
    }
    package func delete(_ path: String, scope: Scope, _ handler: @escaping Handler) {
        on(.delete, path, .scope(scope), handler)
    }

    package func get(_ path: String, access: Access, _ handler: @escaping Handler) {
        on(.get, path, access, handler)
    }
    package func put(_ path: String, access: Access, _ handler: @escaping Handler) {
        on(.put, path, access, handler)
    }
    package func post(_ path: String, access: Access, _ handler: @escaping Handler) {
        on(.post, path, access, handler)
    }

    /// Any method.
    package func on(
        _ method: HTTPRequest.Method, _ path: String, _ access: Access, _ handler: @escaping Handler
    ) {
        let route = Route(method: method, path: path, access: access)
        routes.append(route)
        handlers.append((route, handler))
    }

    /// The responder for Hummingbird: the routes, with a 405 for the methods that a path does not know.
    func build(control: AccessControl, limiter: RateLimiter, logger: Logger) -> Router<ServiceRequestContext>
    {
        let router = Router(context: ServiceRequestContext.self)
        router.add(middleware: EdgeMiddleware(routes: RouteTable(routes), logger: logger))
        for (route, handler) in handlers {
            router.on(RouterPath(route.path), method: route.method) { request, context in
                let caller =
                    route.access == .provenToHandler
                    ? .anonymous
                    : try await control.caller(authorization: request.headers[.authorization])
                try Self.check(route.access, caller: caller)
                try limiter.check(caller: caller, address: context.remoteAddress)
                let serviceRequest = ServiceRequest(request: request, context: context, caller: caller)
                return try await TraceContext.$traceparent.withValue(serviceRequest.traceparent) {
                    try await handler(serviceRequest).hummingbird
                }
            }
        }
        return router
    }

    private static func check(_ access: Access, caller: Caller) throws(Problem) {
        switch (access, caller) {
        case (.open, _), (.provenToHandler, _), (.service, .service): return
        case (.scope(let scope), _) where caller.may(scope): return
        case (_, .anonymous):
            throw .unauthorized(
                "send an API key as `Authorization: Bearer mk_…`; make one with `martlet keys create`")
        case (.scope(let scope), _): throw .forbidden("the API key lacks the scope `\(scope.rawValue)`")
        case (.service, _): throw .forbidden("only the services of this installation may call this")
        }
    }
}

/// Hummingbird's context with the peer's address.
package struct ServiceRequestContext: RequestContext {
    package var coreContext: CoreRequestContextStorage
    let remoteAddress: String

    package init(source: ApplicationRequestContextSource) {
        coreContext = .init(source: source)
        remoteAddress = source.channel.remoteAddress?.ipAddress ?? "unknown"
    }
}

/// The outermost layer: counts, times and logs each request, and turns every error into a problem.
struct EdgeMiddleware: RouterMiddleware {
    typealias Context = ServiceRequestContext

    let routes: RouteTable
    let logger: Logger

    @concurrent
    func handle(
        _ request: Request, context: Context, next: @concurrent (Request, Context) async throws -> Response
    ) async throws -> Response {
        let start = ContinuousClock.now
        let response: Response
        do {
            response = try await next(request, context)
        } catch {
            response = answer(error, request: request, context: context)
        }
        record(request, context: context, status: response.status, took: ContinuousClock.now - start)
        return response
    }

    private func answer(_ error: any Error, request: Request, context: Context) -> Response {
        if let problem = Problem.from(error) { return ServiceResponse.problem(problem).hummingbird }
        if let error = error as? HTTPError {
            return ServiceResponse.problem(problem(of: error, request)).hummingbird
        }
        if error is CancellationError {
            return ServiceResponse.problem(.unavailable("the service is stopping; try again")).hummingbird
        }
        // The type and the message only: parameters and bodies of the request may be personal.
        logger.error(
            "request failed",
            metadata: [
                "method": "\(request.method)", "route": "\(context.endpointPath ?? "none")",
                "error": "\(type(of: error)): \(error)",
            ])
        return ServiceResponse.problem(
            Problem(
                status: .internalServerError, type: "internal", title: "Something broke here",
                detail: "it is logged; try again, and report it if it stays")
        ).hummingbird
    }

    private func problem(of error: HTTPError, _ request: Request) -> Problem {
        switch error.status {
        case .notFound:
            routes.methodNotAllowed(at: request.uri.path)
                ?? .notFound("no such path; /openapi.yaml lists what there is")
        case .contentTooLarge:
            Problem(status: .contentTooLarge, type: "too-large", title: "The request is too large")
        default:
            Problem(status: error.status, type: "http-\(error.status.code)", title: error.status.reasonPhrase)
        }
    }

    private func record(_ request: Request, context: Context, status: HTTPResponse.Status, took: Duration) {
        let route = context.endpointPath ?? "none"
        Counter(
            label: "martlet_http_requests_total",
            dimensions: [("method", request.method.rawValue), ("route", route), ("status", "\(status.code)")]
        ).increment()
        Metrics.Timer(label: "martlet_http_request_duration_seconds", dimensions: [("route", route)])
            .recordNanoseconds(took.nanoseconds)
        logger.debug(
            "request",
            metadata: [
                "method": "\(request.method)", "route": "\(route)", "status": "\(status.code)",
                "milliseconds": "\(took.nanoseconds / 1_000_000)",
            ])
    }
}

extension Duration {
    fileprivate var nanoseconds: Int64 {
        let (seconds, attoseconds) = components
        return seconds * 1_000_000_000 + attoseconds / 1_000_000_000
    }
}
