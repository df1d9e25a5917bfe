SwaggerUIBundle({ url: "oas/spec", dom_id: "#api", deepLinking: true, validatorUrl: null });
