package server;

import java.util.List;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.context.annotation.Bean;
import org.springframework.security.oauth2.server.authorization.OAuth2TokenType;
import org.springframework.security.oauth2.server.authorization.token.JwtEncodingContext;
import org.springframework.security.oauth2.server.authorization.token.OAuth2TokenCustomizer;
import org.springframework.web.cors.CorsConfiguration;
import org.springframework.web.cors.UrlBasedCorsConfigurationSource;

/** A server whose issuer, clients and user are in the environment, as the properties of Spring Boot. */
@SpringBootApplication
public class Server {
    public static void main(String[] args) {
        SpringApplication.run(Server.class, args);
    }

    /** Lets apps in browsers use the server. */
    @Bean
    UrlBasedCorsConfigurationSource corsConfigurationSource(@Value("${apps}") List<String> apps) {
        var cors = new CorsConfiguration();
        cors.setAllowedOrigins(apps);
        cors.addAllowedHeader("*");
        cors.addAllowedMethod("*");
        var source = new UrlBasedCorsConfigurationSource();
        source.registerCorsConfiguration("/**", cors);
        return source;
    }

    /** Access tokens are for the API, and have its type (RFC 9068). */
    @Bean
    OAuth2TokenCustomizer<JwtEncodingContext> accessTokens(@Value("${audience}") String audience) {
        return context -> {
            if (!OAuth2TokenType.ACCESS_TOKEN.equals(context.getTokenType())) return;
            context.getJwsHeader().type("at+jwt");
            context.getClaims().audience(List.of(audience));
        };
    }
}
